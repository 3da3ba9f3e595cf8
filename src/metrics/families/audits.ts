// Audits: nodes that were computed by two workers and compared, by what was found.

import { Counter, type Registry } from 'prom-client';
import { auditOutcomes, type TrainingEvent } from '../events.js';

export function audits(registry: Registry): (event: TrainingEvent) => void {
  const ended = new Counter({
    name: 'lockstep_audits_total',
    help: 'Nodes that were to be computed by two workers and compared, by outcome.',
    labelNames: ['outcome'] as const,
    registers: [registry],
  });
  for (const outcome of auditOutcomes) ended.inc({ outcome }, 0);
  return (event) => {
    if (event.kind === 'nodeAudited') ended.inc({ outcome: event.outcome });
  };
}
