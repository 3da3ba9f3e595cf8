// The metrics of a worker.

import { computation } from './families/computation.js';
import { heartbeats } from './families/heartbeats.js';
import { workerPhases } from './families/phases.js';
import { processMetrics } from './families/process.js';
import { transfer } from './families/transfer.js';
import { createMetrics, type Metrics } from './metrics.js';

export function createWorkerMetrics(): Metrics {
  return createMetrics([computation, workerPhases, transfer, heartbeats, processMetrics]);
}
