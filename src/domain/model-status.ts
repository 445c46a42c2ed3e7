/** What the gateway knows about a model it was asked to run: for the API, the page and the log. */

export interface ModelStatus {
  readonly machineClass: string;
  readonly name: string;
  /** Version in use or being loaded; empty if none qualifies. */
  readonly version: string;
  readonly sha256: string;
  readonly task: 'rul' | 'anomaly';
  /** `failed`: windows of this class go without this model; `reason` says why and what was tried. */
  readonly state: 'loading' | 'ready' | 'failed';
  readonly reason: string;
}
