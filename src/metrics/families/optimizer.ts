// The optimiser: learning rate, gradient norm, clipping.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { TrainingEvent } from '../events.js';

export function optimizer(registry: Registry): (event: TrainingEvent) => void {
  const registers = [registry];
  const learningRate = new Gauge({
    name: 'lockstep_learning_rate',
    help: 'Learning rate of the latest step.',
    registers,
  });
  const norm = new Gauge({
    name: 'lockstep_gradient_norm',
    help: "L2 norm of the latest step's mean gradient, before clipping.",
    registers,
  });
  const clipped = new Counter({
    name: 'lockstep_gradient_clips_total',
    help: 'Steps whose gradient was scaled down to the clip norm, by this process.',
    registers,
  });
  return (event) => {
    if (event.kind !== 'stepCommitted') return;
    learningRate.set(event.learningRate);
    norm.set(event.gradientNorm);
    if (event.clipped) clipped.inc();
  };
}
