// Checkpoints: how many were written, how long it took, and how old the newest is.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { durationBuckets } from './family.js';
import type { TrainingEvent } from '../events.js';

/** In seconds: one that never jumps back, and one since 1970. */
export interface Clocks {
  readonly monotonic: () => number;
  readonly wall: () => number;
}

export function checkpoints({
  monotonic,
  wall,
}: Clocks): (registry: Registry) => (event: TrainingEvent) => void {
  return (registry) => {
    const registers = [registry];
    const total = new Counter({
      name: 'lockstep_checkpoints_total',
      help: 'Checkpoints begun by this process that ended, by outcome.',
      labelNames: ['outcome'] as const,
      registers,
    });
    for (const outcome of ['written', 'failed']) total.inc({ outcome }, 0);
    const running = new Gauge({
      name: 'lockstep_checkpoints_in_progress',
      help: 'Checkpoints that are being written now.',
      registers,
    });
    const duration = new Histogram({
      name: 'lockstep_checkpoint_duration_seconds',
      help: 'Time from the snapshot of a checkpoint to its manifest.',
      buckets: durationBuckets,
      registers,
    });
    const bytes = new Gauge({
      name: 'lockstep_checkpoint_size_bytes',
      help: 'Size of the newest checkpoint that this process wrote.',
      registers,
    });
    const step = new Gauge({
      name: 'lockstep_checkpoint_step',
      help: 'Parameter version of the newest checkpoint that this process wrote.',
      registers,
    });
    const timestamp = new Gauge({
      name: 'lockstep_checkpoint_timestamp_seconds',
      help: 'When this process last finished a checkpoint, in seconds since 1970; 0: not yet.',
      registers,
    });
    let since = monotonic();
    new Gauge({
      name: 'lockstep_checkpoint_age_seconds',
      help: 'Time since this process last finished a checkpoint, or since its start: what a crash now would lose.',
      registers,
      collect() {
        this.set(monotonic() - since);
      },
    });
    return (event) => {
      switch (event.kind) {
        case 'checkpointStarted':
          running.inc();
          return;
        case 'checkpointWritten':
          running.dec();
          total.inc({ outcome: 'written' });
          duration.observe(event.seconds);
          bytes.set(event.bytes);
          step.set(event.step);
          since = monotonic();
          timestamp.set(wall());
          return;
        case 'checkpointFailed':
          running.dec();
          total.inc({ outcome: 'failed' });
          return;
        default:
      }
    };
  };
}
