// What became of the work: micro-batches whose results came in, and those that entered the weights. Goodput is trained
// divided by computed: leases lost, duplicated or recalled, rounds computed again and skipped steps make it less than 1.

import { Counter, type Registry } from 'prom-client';
import { resultOutcomes, type TrainingEvent } from '../events.js';

/** `microBatches`: of a step. */
export function work(microBatches: number): (registry: Registry) => (event: TrainingEvent) => void {
  return (registry) => {
    const registers = [registry];
    const trained = new Counter({
      name: 'lockstep_micro_batches_trained_total',
      help: 'Micro-batches whose gradients entered the weights.',
      registers,
    });
    const results = new Counter({
      name: 'lockstep_micro_batch_results_total',
      help: 'Micro-batches whose results came from a worker: first, duplicate (known by then), late (the step was over).',
      labelNames: ['outcome'] as const,
      registers,
    });
    for (const outcome of resultOutcomes) results.inc({ outcome }, 0);
    return (event) => {
      if (event.kind === 'stepCommitted') trained.inc(microBatches);
      else if (event.kind === 'results') {
        for (const outcome of resultOutcomes) results.inc({ outcome }, event.counts[outcome] ?? 0);
      }
    };
  };
}
