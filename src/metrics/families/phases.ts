// Where a worker's time goes: seconds by phase. Rates of these counters are shares of the time.

import { Counter, type Registry } from 'prom-client';
import { workerPhases as phases } from '../../protocol/messages.js';
import type { TrainingEvent } from '../events.js';

export function workerPhases(registry: Registry): (event: TrainingEvent) => void {
  const seconds = new Counter({
    name: 'lockstep_phase_seconds_total',
    help: 'Time that this worker spent, by phase.',
    labelNames: ['phase'] as const,
    registers: [registry],
  });
  for (const phase of phases) seconds.inc({ phase }, 0);
  return (event) => {
    if (event.kind === 'phase') seconds.inc({ phase: event.phase }, event.seconds);
  };
}
