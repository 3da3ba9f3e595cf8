// Bytes of tensors on the wire, by direction.

import { Counter, type Registry } from 'prom-client';
import type { Direction, TrainingEvent } from '../events.js';

/** `of`: the directions that the process has. */
export function transfer(of: readonly Direction[]): (registry: Registry) => (event: TrainingEvent) => void {
  return (registry) => {
    const bytes = new Counter({
      name: 'lockstep_transfer_bytes_total',
      help: 'Payload bytes of gradients and parameters sent (out) and received (in) by this process.',
      labelNames: ['direction'] as const,
      registers: [registry],
    });
    for (const direction of of) bytes.inc({ direction }, 0);
    return (event) => {
      if (event.kind === 'bytes') bytes.inc({ direction: event.direction }, event.bytes);
    };
  };
}
