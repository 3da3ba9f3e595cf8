// What the addon accepts from JavaScript, and how it refuses the rest.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadAddon } from '../../../src/engine/native/load.js';
import type { AttentionShape, DropoutSpec } from '../../../src/engine/native/addon.js';

const addon = loadAddon();
const none: DropoutSpec = { rate: 0, site: 0, key: { seed: 0, step: 0, microBatch: 0 } };

test('views on a SharedArrayBuffer, at an offset, are read and written in place', () => {
  const memory = new SharedArrayBuffer(64);
  const a = new Float32Array(memory, 4, 5).fill(1.5);
  const out = new Float32Array(memory, 40, 5);
  addon.add(out, a, a, 5, false);
  assert.deepEqual([...out], [3, 3, 3, 3, 3]);
  assert.deepEqual([...a], [1.5, 1.5, 1.5, 1.5, 1.5]);
  assert.equal(new Float32Array(memory)[0], 0);
});

test('allocated memory is zeroed and of the length asked for', () => {
  const buffer = addon.allocate(100);
  assert.equal(buffer.byteLength, 100);
  assert.ok(new Uint8Array(buffer).every((byte) => byte === 0));
  assert.equal(addon.allocate(0).byteLength, 0);
});

test('an array that is too short is a RangeError that names it', () => {
  const short = new Float32Array(5);
  assert.throws(
    () => addon.linear(short, short, null, short, null, 2, 3, 1, 0, 0),
    { name: 'RangeError', message: 'x: expected at least 6 elements, got 5' }, // prettier-ignore
  );
  assert.throws(() => addon.sumOfSquares(short, 6), { name: 'RangeError', message: /^values:/ });
  assert.throws(() => addon.add(short, short, short, -1, false), { name: 'RangeError', message: /^count:/ });
  assert.throws(() => addon.add(short, short, short, 1.5, false), { name: 'RangeError', message: /^count:/ });
});

test('ranges that do not ascend, or leave the vector, are refused', () => {
  const x = new Float32Array(8);
  const spec = { ...{ gradientScale: 1, learningRate: 1, beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 }, ...{ correction1: 1, correction2: 1 } }; // prettier-ignore
  const update = (...bounds: number[]) => addon.adamW(x, x, x, x, 8, Int32Array.from(bounds), spec);
  update(0, 0, 3, 8);
  for (const bounds of [[1], [0, 9], [-1, 2], [3, 2], [0, 4, 3, 5]]) {
    const message = 'undecayed: expected ascending pairs of bounds from 0 to 8';
    assert.throws(() => update(...bounds), { name: 'RangeError', message }, `${bounds.join(' ')}`);
  }
});

test('only calls that were kept are made again', () => {
  const calls = addon.makeKeptCalls();
  assert.equal(addon.renewCalls(calls, { seed: 1, step: 0, microBatch: 0 }), 0);
  addon.repeatCalls(calls, 0, 0);
  assert.throws(() => addon.repeatCalls(calls, 0, 1), { name: 'RangeError', message: /not so many calls/ });
  assert.throws(() => addon.keepCalls({} as typeof calls), { name: 'TypeError', message: /^calls:/ });
  const key = { seed: -1, step: 0, microBatch: 0 };
  assert.throws(() => addon.renewCalls(calls, key), { name: 'RangeError', message: /^key.seed:/ });
});

test('sizes whose product overflows are refused', () => {
  const x = new Float32Array(1);
  const huge = 2 ** 31 - 1;
  const shape: AttentionShape = {
    ...{ batch: huge, queries: huge, keys: huge, heads: huge, headWidth: 1, causal: false, precision: 0 },
    ...{ qOffset: 0, qStride: huge, kOffset: 0, vOffset: 0, kvStride: huge },
  };
  assert.throws(() => addon.attention(x, x, new Int32Array(1), x, x, shape), { name: 'RangeError' });
});

test('an array of another type, or null where none is allowed, is a TypeError that names it', () => {
  const x = new Float32Array(4);
  const wrong = new Float64Array(4) as unknown as Float32Array;
  assert.throws(() => addon.sumOfSquares(wrong, 4), {
    name: 'TypeError',
    message: /^values: .*Float32Array/,
  });
  const missing = null as unknown as Float32Array;
  assert.throws(() => addon.add(x, missing, x, 4, false), { name: 'TypeError', message: /^a:/ });
  assert.throws(() => addon.add(x, x, x, 4, undefined as unknown as boolean), { message: /^bfloat16:/ });
});

test('bfloat16 is refused where products take float32, and mixed with float32 in one group of arrays', () => {
  const x = new Float32Array(4);
  const halves = new Uint16Array(4);
  const [float32, bfloat16] = [0, 1] as const;
  assert.throws(() => addon.linear(halves, x, null, x, null, 2, 2, 2, 0, float32), {
    name: 'TypeError',
    message: 'x: expected a Float32Array, since products take float32, got a Uint16Array',
  });
  assert.throws(() => addon.linear(x, x, null, x, halves, 2, 2, 2, 0, bfloat16), {
    name: 'TypeError',
    message: 'preActivation: expected a Float32Array as y is, got a Uint16Array',
  });
  addon.linear(x, x, null, halves, null, 2, 2, 2, 0, bfloat16);
  assert.throws(
    () => addon.linear(x, halves as unknown as Float32Array, null, x, null, 2, 2, 2, 0, bfloat16),
    {
      name: 'TypeError',
      message: /^w: expected a Float32Array/,
    },
  );
});

test('an index outside its table is a RangeError that says which', () => {
  const table = new Float32Array(8); // 4 rows of 2
  const out = new Float32Array(4);
  for (const bad of [4, -1]) {
    const ids = Int32Array.of(0, bad);
    assert.throws(() => addon.embedding(table, table, ids, out, 2, 2, 0, 2, 1, none), {
      name: 'RangeError',
      message: `ids: element 1 is ${bad}, expected 0 to 3`,
    });
    assert.throws(
      () => addon.embeddingGradient(out, ids, table, 2, 4, 2, 1, none, -1, false),
      /^RangeError: ids/,
    );
    const [bias, rows] = [new Float32Array(4), Int32Array.of(0, 1)];
    const one = new Float32Array(1);
    assert.throws(
      () => addon.crossEntropy(table, table, bias, ids, rows, null, one, one, 2, 2, 4, 0, 0),
      /^RangeError: lossRows/,
    );
    assert.throws(
      () => addon.crossEntropy(table, table, bias, rows, ids, null, one, one, 2, 2, 4, 0, 0),
      /^RangeError: labels/,
    );
  }
});

test('a dropout rate of 1 or more is a RangeError', () => {
  const x = new Float32Array(4);
  const spec = { ...none, rate: 1 };
  assert.throws(
    () => addon.addDropoutNorm(null, x, x, x, x, x, null, x, 1, 2, 1e-5, spec),
    /^RangeError: dropout.rate/,
  );
});
