/** Builds the parts of the path from the configuration, for the pipeline thread. */

import type { Config, SinkConfig } from '../config/schema.ts';
import type { Clock } from '../domain/clock.ts';
import type { FeatureSpec } from '../domain/feature-vector.ts';
import { fullFeatureId } from '../domain/feature-vector.ts';
import { FeatureExtractor } from '../features/extractor.ts';
import { HistorySampler } from '../features/history-samples.ts';
import { Forwarder } from '../forward/forwarder.ts';
import type { PointWriter } from '../forward/write-outcome.ts';
import { HealthMonitor } from '../health/health-monitor.ts';
import { Assessor } from '../inference/assessor.ts';
import { Pipeline } from '../pipeline.ts';
import { openStore, type Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricSource } from '../telemetry/metrics.ts';
import { Windower } from '../window/windower.ts';
import { DamageAlarm } from './damage-alarm.ts';
import { LedgerWatch } from './ledger-watch.ts';

export interface PipelineAssembly {
  readonly pipeline: Pipeline;
  readonly windower: Windower;
  readonly assessor: Assessor;
  readonly health: HealthMonitor;
  readonly store: Store;
  readonly forwarders: readonly Forwarder[];
  /** Everything on this thread that counts. */
  readonly sources: readonly MetricSource[];
  readonly ledgerWatch: LedgerWatch;
  readonly damageAlarm: DamageAlarm;
  readonly config: Config;
}

/** What the path needs of the world outside beside the disk; a simulation brings its own. */
export interface Surroundings {
  readonly logger: Logger;
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  random(): number;
  /** The way to a sink's server. */
  writerOf(sink: string, config: SinkConfig): PointWriter;
}

/** @throws GatewayError if the store can't be opened or a class asks for features its channels can't give */
export function buildPipeline(config: Config, surroundings: Surroundings): PipelineAssembly {
  const { logger, clock, random } = surroundings;
  const classes = config.machineClasses;
  const monotonicMs = () => clock.monotonicMs();
  const extractors = new Map(
    Object.entries(classes).map(([name, classConfig]) => [name, new FeatureExtractor(classConfig)]),
  );
  const store = openStore({
    dataDir: config.dataDir,
    config: config.store,
    sinks: Object.keys(config.sinks),
    now: () => clock.now(),
    monotonicMs,
    isClockSet: () => clock.isSet?.() ?? true,
    logger,
    history: config.history,
  });
  const windower = new Windower(classes);
  const assessor = new Assessor({
    classes,
    modelsDir: config.modelsDir,
    config: config.inference,
    describeFeatures: (name) => described(extractors.get(name)!),
    logger,
    monotonicMs,
  });
  const health = new HealthMonitor(classes);
  const history = config.history.enabled ? new HistorySampler(config.history, classes) : null;
  const now = () => clock.now();
  const pipeline = new Pipeline({
    ...{ classes, windower, extractors, assessor, health, store, history, logger, now, monotonicMs },
  });
  const forwarders = Object.entries(config.sinks).map(
    ([sink, sinkConfig]) =>
      new Forwarder({
        sink,
        config: sinkConfig,
        outbox: store,
        writer: surroundings.writerOf(sink, sinkConfig),
        logger,
        clock,
        random,
      }),
  );
  const ledgerWatch = watchLedger(store, pipeline, logger);
  return {
    pipeline,
    windower,
    assessor,
    health,
    store,
    forwarders,
    sources: [store, assessor, pipeline, ...forwarders, ledgerWatch],
    ledgerWatch,
    damageAlarm: new DamageAlarm(config.gateway.id),
    config,
  };
}

function watchLedger(store: Store, pipeline: Pipeline, logger: Logger): LedgerWatch {
  const accounts = () => ({
    unsettledSamples: () => pipeline.unsettledSamples,
    check: (openSamples: number) => store.checkLedger(openSamples),
    bookedAtStart: store.recovery.pendingDifference,
    isSalvaging: store.isSalvaging,
  });
  return new LedgerWatch(accounts, logger);
}

/** Features of a class with their full ids, as the model contract names them. */
function described(extractor: FeatureExtractor): FeatureSpec[] {
  return extractor
    .schema()
    .flatMap((group) => group.specs.map((spec) => ({ ...spec, id: fullFeatureId(group.channel, spec.id) })));
}
