/** What the pipeline thread and the inference process say to each other. One request is in flight at a time. */

import type { ParameterSet, WireTensors } from './tensor.ts';

export type ToInference =
  /** Bytes whose hash was verified are loaded as they are: no file is opened on the other side. */
  | { readonly type: 'load'; readonly id: number; readonly model: string; readonly bytes: Uint8Array }
  | {
      readonly type: 'run';
      readonly id: number;
      readonly model: string;
      /** Inputs with the batch axis first. */
      readonly inputs: WireTensors;
      /** One key a row: the row's parameters are stacked to the inputs of the same names. */
      readonly parameterKeys: readonly string[];
      /** Sets the process has not seen yet. */
      readonly newParameters: readonly ParameterSet[];
      /** Drop all parameter sets before taking the new ones. */
      readonly clearParameters: boolean;
    }
  | { readonly type: 'stop' };

export type FromInference =
  | { readonly type: 'ready' }
  | {
      readonly type: 'loaded';
      readonly id: number;
      /** Empty if the session was created. */
      readonly error: string;
      readonly inputNames: readonly string[];
      readonly outputNames: readonly string[];
    }
  | {
      readonly type: 'ran';
      readonly id: number;
      readonly error: string;
      /** Every float output of the graph; empty after an error. */
      readonly outputs: WireTensors;
      readonly runMs: number;
    };
