// The reducer threads: how busy each is, what its buffers occupy, and the bytes that pass through them all.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export function reducers(registry: Registry): (event: TrainingEvent) => void {
  const registers = [registry];
  const seconds = new Counter({
    name: 'lockstep_reducer_busy_seconds_total',
    help: 'Time that a reducer thread worked: reduce (sum gradients, serve pulls) or update (AdamW).',
    labelNames: ['reducer', 'phase'] as const,
    registers,
  });
  const buffers = new Gauge({
    name: 'lockstep_reducer_buffer_bytes',
    help: 'Buffers of a reducer for gradients and for parameters on their way out: used, or free to be used again.',
    labelNames: ['reducer', 'state'] as const,
    registers,
  });
  const bytes = new Counter({
    name: 'lockstep_transfer_bytes_total',
    help: 'Payload bytes of gradients received from workers (in) and parameters sent to them (out).',
    labelNames: ['direction'] as const,
    registers,
  });
  for (const direction of ['gradients_in', 'parameters_out']) bytes.inc({ direction }, 0);
  return (event) => {
    if (event.kind !== 'reducerUsage') return;
    const { usage } = event;
    const reducer = String(event.reducer);
    seconds.inc({ reducer, phase: 'reduce' }, usage.reduceSeconds);
    seconds.inc({ reducer, phase: 'update' }, usage.updateSeconds);
    buffers.set({ reducer, state: 'used' }, usage.usedBufferBytes);
    buffers.set({ reducer, state: 'free' }, usage.freeBufferBytes);
    bytes.inc({ direction: 'gradients_in' }, usage.gradientBytes);
    bytes.inc({ direction: 'parameters_out' }, usage.parameterBytes);
  };
}
