// Leases by how they ended, how long they lasted, and how many were given to a second worker.

import { Counter, Histogram, type Registry } from 'prom-client';
import { durationBuckets } from './family.js';
import { leaseOutcomes, type TrainingEvent } from '../events.js';

export function leases(registry: Registry): (event: TrainingEvent) => void {
  const ended = new Counter({
    name: 'lockstep_leases_total',
    help: 'Leases that ended, by outcome.',
    labelNames: ['outcome'] as const,
    registers: [registry],
  });
  for (const outcome of leaseOutcomes) ended.inc({ outcome }, 0);
  const duration = new Histogram({
    name: 'lockstep_lease_duration_seconds',
    help: 'Time from granting a lease to its coverage; only leases that were covered.',
    buckets: durationBuckets,
    registers: [registry],
  });
  const duplicated = new Counter({
    name: 'lockstep_leases_duplicated_total',
    help: 'Leases that would have come late and were given to idle workers as well.',
    registers: [registry],
  });
  return (event) => {
    if (event.kind === 'leaseDuplicated') duplicated.inc();
    if (event.kind !== 'leaseEnded') return;
    ended.inc({ outcome: event.outcome });
    if (event.outcome === 'covered') duration.observe(event.seconds);
  };
}
