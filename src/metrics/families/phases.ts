// Where the time goes: seconds by phase. Rates of these counters are shares of the time.

import { Counter, type Registry } from 'prom-client';
import type { Phase, TrainingEvent } from '../events.js';

/** `of`: the phases that the process measures. */
export function phases(of: readonly Phase[]): (registry: Registry) => (event: TrainingEvent) => void {
  return (registry) => {
    const seconds = new Counter({
      name: 'lockstep_phase_seconds_total',
      help: 'Time spent, by phase of the step.',
      labelNames: ['phase'] as const,
      registers: [registry],
    });
    for (const phase of of) seconds.inc({ phase }, 0);
    return (event) => {
      if (event.kind === 'phase') seconds.inc({ phase: event.phase }, event.seconds);
    };
  };
}
