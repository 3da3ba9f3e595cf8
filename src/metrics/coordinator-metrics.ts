// The metrics of a coordinator: those of the run, of its own process, and, as they report to it, of its workers.

import { audits } from './families/audits.js';
import { checkpoints, type Clocks } from './families/checkpoints.js';
import { eachWorker } from './families/each-worker.js';
import { evaluations } from './families/evaluations.js';
import { leases } from './families/leases.js';
import { loss } from './families/loss.js';
import { messages } from './families/messages.js';
import { optimizer } from './families/optimizer.js';
import { processMetrics } from './families/process.js';
import { reducers } from './families/reducers.js';
import { runFamily } from './families/run.js';
import { steps } from './families/steps.js';
import { storage, type MeasureRoom } from './families/storage.js';
import { tokens } from './families/tokens.js';
import { work } from './families/work.js';
import { workers } from './families/workers.js';
import type { RunStarted } from './events.js';
import { createMetrics, type Metrics } from './metrics.js';

export interface CoordinatorMetricsOptions {
  readonly run: RunStarted;
  readonly measureRoom: MeasureRoom;
  /** Tests give their own. */
  readonly clocks?: Clocks;
}

const SYSTEM_CLOCKS: Clocks = {
  monotonic: () => performance.now() / 1000,
  wall: () => Date.now() / 1000,
};

export function createCoordinatorMetrics({
  run,
  measureRoom,
  clocks = SYSTEM_CLOCKS,
}: CoordinatorMetricsOptions): Metrics {
  const metrics = createMetrics([
    runFamily(run),
    steps(clocks.monotonic),
    loss,
    evaluations,
    optimizer,
    tokens,
    work(run.microBatches),
    leases,
    audits,
    workers,
    eachWorker,
    reducers,
    messages,
    checkpoints(clocks),
    storage(measureRoom),
    processMetrics,
  ]);
  metrics.registry.setDefaultLabels({ run: run.run });
  return metrics;
}
