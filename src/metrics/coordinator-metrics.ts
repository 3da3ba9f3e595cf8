// The metrics of a coordinator.

import { checkpoints } from './families/checkpoints.js';
import { leases } from './families/leases.js';
import { loss } from './families/loss.js';
import { optimizer } from './families/optimizer.js';
import { phases } from './families/phases.js';
import { processMetrics } from './families/process.js';
import { steps } from './families/steps.js';
import { tokens } from './families/tokens.js';
import { transfer } from './families/transfer.js';
import { workers } from './families/workers.js';
import { createMetrics, type Metrics } from './metrics.js';

/** `now`: seconds on a monotonic clock (tests give their own). */
export function createCoordinatorMetrics(now: () => number = () => performance.now() / 1000): Metrics {
  return createMetrics([
    steps,
    loss,
    optimizer,
    tokens,
    leases,
    workers,
    phases(['reduce', 'update']),
    transfer(['gradients_in', 'parameters_out']),
    checkpoints(now),
    processMetrics,
  ]);
}
