// What the model learns: loss and accuracy of the latest step and of the latest evaluation.

import { Gauge, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export function loss(registry: Registry): (event: TrainingEvent) => void {
  const labelNames = ['split'] as const;
  const nats = new Gauge({
    name: 'lockstep_loss_nats',
    help: 'Cross-entropy per target token, in nats: of the latest step, smoothed (train), or evaluation (validation).',
    labelNames,
    registers: [registry],
  });
  const accuracy = new Gauge({
    name: 'lockstep_accuracy_ratio',
    help: 'Share of target tokens predicted right, of the latest step (train) or evaluation (validation).',
    labelNames,
    registers: [registry],
  });
  return (event) => {
    if (event.kind === 'stepCommitted') {
      nats.set({ split: 'train' }, event.loss);
      if (event.tokens > 0) accuracy.set({ split: 'train' }, event.correct / event.tokens);
    } else if (event.kind === 'evaluated') {
      nats.set({ split: 'validation' }, event.loss);
      accuracy.set({ split: 'validation' }, event.accuracy);
    }
  };
}
