import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { largest, logProbabilityOf, logSoftmax } from '../../src/model/probabilities.js';
import { candidates, drawToken } from '../../src/model/sampling-strategies.js';
import { RandomField, RandomSite } from '../../src/util/philox.js';

const logitsOf = (probabilities: readonly number[]): Float32Array =>
  Float32Array.from(probabilities, Math.log);
const row = logitsOf([0.1, 0.4, 0.05, 0.3, 0.15]);
const anyLogits = fc.float32Array({ minLength: 1, maxLength: 60, noNaN: true, min: -20, max: 20 });

test('top-k keeps the k most probable tokens and renormalises them', () => {
  const kept = candidates(row, { temperature: 1, topK: 2, topP: null });
  assert.deepEqual(kept.ids, [1, 3]);
  assert.ok(Math.abs(kept.probabilities[0]! - 0.4 / 0.7) < 1e-6);
});

test('top-p keeps the smallest set of most probable tokens that reaches p', () => {
  const ids = (topP: number): number[] =>
    Array.from(candidates(row, { temperature: 1, topK: null, topP }).ids);
  assert.deepEqual(ids(0.3), [1]);
  assert.deepEqual(ids(0.65), [1, 3]);
  assert.deepEqual(ids(0.8), [1, 3, 4]);
  assert.deepEqual(ids(1), [0, 1, 2, 3, 4]);
});

test('the nucleus of any logits reaches p, and without its last token does not', () => {
  fc.assert(
    fc.property(anyLogits, fc.double({ min: 0.01, max: 0.999, noNaN: true }), (logits, topP) => {
      const logProbabilities = new Float64Array(logits.length);
      logSoftmax(logits, logProbabilities);
      const kept = Array.from(candidates(logits, { temperature: 1, topK: null, topP }).ids);
      const mass = kept.map((id) => Math.exp(logProbabilities[id]!));
      const sum = mass.reduce((a, b) => a + b, 0);
      assert.ok(sum >= topP - 1e-9);
      assert.ok(sum - mass.at(-1)! < topP);
      const weakest = Math.min(...kept.map((id) => logits[id]!));
      logits.forEach((logit, id) => assert.ok(kept.includes(id) || logit <= weakest + 1e-5)); // equal in float64
    }),
  );
});

test('draws follow the probabilities and the temperature', () => {
  const field = new RandomField({ seed: 3, step: 0, microBatch: 0, site: RandomSite.sample });
  const draws = 20_000;
  const share = (temperature: number): number => {
    let hits = 0;
    for (let i = 0; i < draws; i++) {
      if (drawToken(row, { temperature, topK: null, topP: null }, field.uniform(i)) === 1) hits++;
    }
    return hits / draws;
  };
  assert.ok(Math.abs(share(1) - 0.4) < 0.015);
  const squares = [0.01, 0.16, 0.0025, 0.09, 0.0225];
  assert.ok(Math.abs(share(0.5) - 0.16 / squares.reduce((a, b) => a + b)) < 0.015);
});

test('a tiny temperature draws the most probable token and overflows nowhere', () => {
  const logits = Float32Array.from([80, 90, -Infinity, 89]);
  for (const uniform of [0, 0.5, 1 - 2 ** -24]) {
    assert.equal(drawToken(logits, { temperature: 1e-6, topK: null, topP: null }, uniform), 1);
  }
});

test('the largest values are those of a sort, ties by index, for any values', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 8 })), fc.nat(12), (values, count) => {
      const sorted = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
      assert.deepEqual(largest(values, count), sorted.slice(0, count));
    }),
  );
  assert.deepEqual(largest([-Infinity, 1, -Infinity], 3), [1]);
});

test('log-probabilities of a row sum to one, also far from zero', () => {
  const logits = Float32Array.from([1e4, 1e4 - 1, -Infinity]);
  const out = new Float64Array(3);
  logSoftmax(logits, out);
  assert.ok(Math.abs(out.reduce((sum, value) => sum + Math.exp(value), 0) - 1) < 1e-12);
  assert.equal(out[2], -Infinity);
  assert.equal(logProbabilityOf(logits, 1), out[1]);
});
