// Bytes of tensors on a worker's wire, by direction.

import { Counter, type Registry } from 'prom-client';
import { directions, type TrainingEvent } from '../events.js';

export function transfer(registry: Registry): (event: TrainingEvent) => void {
  const bytes = new Counter({
    name: 'lockstep_transfer_bytes_total',
    help: 'Payload bytes of gradients sent (out) and parameters received (in) by this worker.',
    labelNames: ['direction'] as const,
    registers: [registry],
  });
  for (const direction of directions) bytes.inc({ direction }, 0);
  return (event) => {
    if (event.kind === 'bytes') bytes.inc({ direction: event.direction }, event.bytes);
  };
}
