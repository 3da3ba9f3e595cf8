// What a worker computed, whether or not a step came to use it.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export function computation(registry: Registry): (event: TrainingEvent) => void {
  const registers = [registry];
  const microBatches = new Counter({
    name: 'lockstep_micro_batches_computed_total',
    help: 'Micro-batches that this worker computed, repeated ones included.',
    registers,
  });
  const tokens = new Counter({
    name: 'lockstep_tokens_computed_total',
    help: 'Target tokens with loss in the micro-batches that this worker computed.',
    registers,
  });
  const version = new Gauge({
    name: 'lockstep_worker_parameter_version',
    help: 'Version of the parameters that this worker computes with.',
    registers,
  });
  return (event) => {
    if (event.kind === 'computed') {
      microBatches.inc(event.microBatches);
      tokens.inc(event.tokens);
    } else if (event.kind === 'parametersPulled') {
      version.set(event.version);
    }
  };
}
