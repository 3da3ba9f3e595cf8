// Evaluations: how many, and how long they held the training up.

import { Histogram, type Registry } from 'prom-client';
import { durationBuckets } from './family.js';
import type { TrainingEvent } from '../events.js';

export function evaluations(registry: Registry): (event: TrainingEvent) => void {
  const duration = new Histogram({
    name: 'lockstep_evaluation_duration_seconds',
    help: 'Time that an evaluation took; no step is computed meanwhile.',
    buckets: durationBuckets,
    registers: [registry],
  });
  return (event) => {
    if (event.kind === 'evaluated') duration.observe(event.seconds);
  };
}
