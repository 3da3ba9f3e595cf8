import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadAddon } from '../../src/engine/native/load.js';
import { adamWReference, adamWSpec } from '../../src/optim/adamw.js';
import type { OptimizerConfig } from '../../src/optim/config.js';
import { RandomField } from '../../src/util/philox.js';

const config: OptimizerConfig = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-9,
  weightDecay: 0.1,
  clipNorm: null,
  schedule: { kind: 'constant', warmupSteps: 0 },
};

interface State {
  parameters: Float32Array;
  moment1: Float32Array;
  moment2: Float32Array;
}

function noise(count: number, site: number): Float32Array {
  const field = new RandomField({ seed: 3, step: 0, microBatch: 0, site });
  return Float32Array.from({ length: count }, (_, i) => 4 * field.uniform(i) - 2);
}

function start(count: number): State {
  return {
    parameters: noise(count, 1),
    moment1: new Float32Array(count),
    moment2: new Float32Array(count),
  };
}

function spec(update: number) {
  return adamWSpec({ update, learningRate: 0.01, gradientScale: 0.25 }, config);
}

/** Everything decays. */
const NONE = new Int32Array(0);

test('the reference computes the published update, to the precision of float32', () => {
  const state = start(50);
  const exact = Array.from(state.parameters, (p) => ({ p, m: 0, v: 0 }));
  for (let update = 1; update <= 5; update++) {
    const gradient = noise(50, 10 + update);
    adamWReference(state.parameters, state.moment1, state.moment2, gradient, NONE, spec(update));
    exact.forEach((e, i) => {
      const g = 0.25 * gradient[i]!;
      e.m = 0.9 * e.m + 0.1 * g;
      e.v = 0.98 * e.v + 0.02 * g * g;
      const step = e.m / (1 - 0.9 ** update) / (Math.sqrt(e.v / (1 - 0.98 ** update)) + 1e-9);
      e.p = e.p * (1 - 0.01 * 0.1) - 0.01 * step;
    });
  }
  exact.forEach((e, i) => {
    assert.ok(Math.abs(state.parameters[i]! - e.p) < 1e-6, `element ${i}`);
    assert.ok(Math.abs(state.moment2[i]! - e.v) < 1e-6 * e.v + 1e-12, `element ${i}`);
  });
});

test('without decay a parameter whose gradient is zero does not move', () => {
  const state = start(8);
  const before = state.parameters.slice();
  adamWReference(
    state.parameters,
    state.moment1,
    state.moment2,
    new Float32Array(8),
    Int32Array.of(0, 8),
    spec(1),
  );
  assert.deepEqual(state.parameters, before);
  adamWReference(state.parameters, state.moment1, state.moment2, new Float32Array(8), NONE, spec(2));
  assert.deepEqual(
    state.parameters,
    before.map((value) => value * Math.fround(1 - 0.01 * 0.1)),
  );
});

/** The largest difference, relative to each value where that is above `floor`. */
function difference(a: Float32Array, b: Float32Array, floor: number): number {
  return a.reduce(
    (largest, value, i) => Math.max(largest, Math.abs(value - b[i]!) / Math.max(floor, Math.abs(b[i]!))),
    0,
  );
}

test('the native kernel agrees with the reference to the precision of float32, over ten updates', () => {
  const addon = loadAddon();
  for (const count of [1, 15, 1000, 70_001]) {
    const [ours, native] = [start(count), start(count)];
    for (let update = 1; update <= 10; update++) {
      const gradient = noise(count, 10 + update);
      const constants = spec(update);
      // Beside what is alike in all panels, two ranges that meet, one without elements, and one over the end of a panel.
      const ranges = [0, 1, 3, 5, 5, 9, 20, 20, 8190, 8200, 69_000, count];
      const undecayed = update % 2 === 0 ? Int32Array.from(ranges, (bound) => Math.min(bound, count)) : NONE;
      adamWReference(ours.parameters, ours.moment1, ours.moment2, gradient, undecayed, constants);
      addon.adamW(native.parameters, native.moment1, native.moment2, gradient, count, undecayed, constants);
    }
    assert.ok(difference(native.parameters, ours.parameters, 1) < 1e-6, `parameters, ${count}`);
    assert.ok(difference(native.moment1, ours.moment1, 0.01) < 5e-6, `first moments, ${count}`);
    assert.ok(difference(native.moment2, ours.moment2, 0.01) < 5e-6, `second moments, ${count}`);
  }
});
