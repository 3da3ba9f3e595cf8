// The learning rate of each step. Pure: nothing is counted here.

import type { OptimizerConfig, ScheduleKind } from './config.js';

/**
 * The learning rate of step number `step`, counted from 1, of a run of `steps` (used by `cosine` and `linear`
 * only). All kinds rise linearly to the peak, `step / warmupSteps` of it, which step `warmupSteps` has; then
 *
 * - `inverse-square-root`: peak · √(warmupSteps / step), the schedule of "Attention Is All You Need" (5.3) with the
 *   peak given in place of (d · warmupSteps)^-1/2; without warm-up: peak / √step;
 * - `cosine`, `linear`: along half a cosine, or a line, to `finalRatio` of the peak, which step `steps` has;
 *   what comes later stays there;
 * - `constant`: the peak.
 */
export function learningRate(step: number, config: OptimizerConfig, steps: number): number {
  const { kind, warmupSteps, finalRatio = 0 } = config.schedule;
  const peak = config.learningRate;
  if (step < warmupSteps) return (peak * step) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps)); // 0 at the peak, 1 at the end
  switch (kind) {
    case 'inverse-square-root':
      return peak * Math.sqrt(Math.max(1, warmupSteps) / step);
    case 'cosine':
      return peak * (finalRatio + ((1 - finalRatio) * (1 + Math.cos(Math.PI * progress))) / 2);
    case 'linear':
      return peak * (1 - (1 - finalRatio) * progress);
    case 'constant':
      return peak;
    default:
      return kind satisfies never;
  }
}

/** Whether a run's length changes the learning rates of its updates, so that a resumed run must keep it. */
export function dependsOnSteps(kind: ScheduleKind): boolean {
  return kind === 'cosine' || kind === 'linear';
}
