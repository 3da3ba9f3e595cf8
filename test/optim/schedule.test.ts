import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OptimizerConfig, ScheduleConfig } from '../../src/optim/config.js';
import { dependsOnSteps, learningRate } from '../../src/optim/schedule.js';

function optimizer(schedule: ScheduleConfig): OptimizerConfig {
  return {
    learningRate: 0.4,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-9,
    weightDecay: 0,
    clipNorm: null,
    schedule,
  };
}

const kinds = ['inverse-square-root', 'cosine', 'linear', 'constant'] as const;

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}, expected ${expected}`);
}

test('every kind rises linearly from the first update to the peak at update warmupSteps', () => {
  for (const kind of kinds) {
    const config = optimizer({ kind, warmupSteps: 8 });
    for (let step = 1; step <= 8; step++) close(learningRate(step, config, 50), (0.4 * step) / 8);
    assert.ok(learningRate(9, config, 50) <= 0.4);
  }
});

test('inverse-square-root is the schedule of the paper for the peak that it has', () => {
  const [width, warmupSteps] = [512, 4000];
  const paper = (step: number) => width ** -0.5 * Math.min(step ** -0.5, step * warmupSteps ** -1.5);
  const config = {
    ...optimizer({ kind: 'inverse-square-root', warmupSteps }),
    learningRate: paper(warmupSteps),
  };
  for (const step of [1, 2, 3999, 4000, 4001, 100_000]) close(learningRate(step, config, 1), paper(step));
});

test('cosine and linear end at the final ratio with the last update, and stay there', () => {
  for (const kind of ['cosine', 'linear'] as const) {
    const config = optimizer({ kind, warmupSteps: 10, finalRatio: 0.1 });
    close(learningRate(60, config, 110), 0.4 * 0.55); // half way: the mean of 1 and 0.1
    close(learningRate(110, config, 110), 0.04);
    close(learningRate(500, config, 110), 0.04);
    close(learningRate(110, optimizer({ kind, warmupSteps: 10 }), 110), 0);
  }
});

test('cosine is above the line before half way and below it after', () => {
  const rate = (kind: 'cosine' | 'linear', step: number) =>
    learningRate(step, optimizer({ kind, warmupSteps: 0 }), 100);
  assert.ok(rate('cosine', 20) > rate('linear', 20));
  assert.ok(rate('cosine', 80) < rate('linear', 80));
});

test('without warm-up the first update has a finite rate, at most the peak', () => {
  for (const kind of kinds) {
    const rate = learningRate(1, optimizer({ kind, warmupSteps: 0 }), 1);
    assert.ok(rate >= 0 && rate <= 0.4, `${kind}: ${rate}`);
  }
});

test('a warm-up longer than the run never passes the peak', () => {
  for (const kind of kinds) close(learningRate(5, optimizer({ kind, warmupSteps: 10 }), 5), 0.2);
});

test('only kinds that end at the last update depend on the number of steps', () => {
  for (const kind of kinds) {
    const config = optimizer({ kind, warmupSteps: 2 });
    const differs = learningRate(7, config, 10) !== learningRate(7, config, 20);
    assert.equal(dependsOnSteps(kind), differs, kind);
  }
});
