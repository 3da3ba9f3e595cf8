import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { evaluate, entropyOf, type EvaluationPlan } from '../../src/model/evaluate.js';
import { fill } from '../../src/model/fill.js';
import { buildBatch, type ObjectiveConfig } from '../../src/model/objectives.js';
import { TransformerTarget } from '../../src/model/transformer-target.js';
import { MASK, trainableModel, trainableTokens, train, type TrainableModel } from './trainable.js';

// Texts that count upward from a random start, 3 … 15 and around again: what a mask hides follows from the rest.
const LENGTH = 8;
const text = (start: number, length = LENGTH): Int32Array =>
  Int32Array.from({ length }, (_, i) => 3 + ((start + i) % 13));
const objective: ObjectiveConfig = {
  kind: 'masked',
  rate: 0.3,
  corruption: 'token',
  meanSpan: 3,
  loss: 'all',
};

let model: TrainableModel;
before(async () => {
  model = await trainableModel({ maxLength: 12, encoderLayers: 1, decoderLayers: 1 });
  const loss = train(model, 250, 4e-3, (step) => {
    const samples = Array.from({ length: 16 }, (_, j) => [text((step * 16 + j) * 5)]);
    return buildBatch(samples, objective, trainableTokens, { seed: 1, step, microBatch: 0 }, 12);
  });
  assert.ok(loss < 0.1, `trained to a loss of ${loss}`);
});

const options = {
  maskId: MASK,
  excluded: trainableTokens.specialIds,
  maxSpan: 1,
  beam: 2,
  alternatives: 3,
  lookahead: 4,
};

test('a model trained on masks restores the hidden tokens', () => {
  for (const start of [0, 4, 9]) {
    const original = [...text(start)];
    const pattern = original.map((id, i) => (i === 2 || i === 5 ? MASK : id));
    const target = new TransformerTarget(model.transformer, [...pattern, 1]);
    const filled = fill(target, pattern, options);
    target.dispose();
    assert.deepEqual(filled.ids, original);
    const best = filled.masks[0]!.alternatives[0]!;
    assert.ok(Math.exp(best.logProbability) > 0.5);
  }
});

test('a model trained on hidden spans restores spans of any length inside a text', async () => {
  const spans: ObjectiveConfig = { ...objective, corruption: 'span', loss: 'hidden' };
  const small = await trainableModel({ maxLength: 14, encoderLayers: 1, decoderLayers: 1 });
  train(small, 300, 5e-3, (step) => {
    const samples = Array.from({ length: 16 }, (_, j) => [text((step * 16 + j) * 5, 10)]);
    return buildBatch(samples, spans, trainableTokens, { seed: 1, step, microBatch: 0 }, 14);
  });
  for (const [start, end] of [
    [2, 3],
    [2, 4],
    [4, 7],
  ] as const) {
    const original = [...text(4, 10)];
    const pattern = [...original.slice(0, start), MASK, ...original.slice(end)];
    const target = new TransformerTarget(small.transformer, [...pattern, 1]);
    const filled = fill(target, pattern, { ...options, maxSpan: 5 });
    target.dispose();
    assert.deepEqual(filled.ids, original, `hidden ${start}..${end}`);
  }
});

test('evaluation is far below the unigram baseline, counts every token and gives the same again', async () => {
  const source = { samples: 13, read: (index: number) => Promise.resolve([text(index)]) };
  const plan: EvaluationPlan = {
    samples: 13,
    samplesPerMicroBatch: 5,
    objective: { ...objective, loss: 'hidden' },
    tokens: trainableTokens,
    seed: 9,
    maxLength: 12,
  };
  const seen: number[] = [];
  const sums = await evaluate(model.transformer, source, plan, (now) => seen.push(now.samples));
  assert.deepEqual(seen, [5, 10, 13]);
  assert.equal(sums.tokens, 13 * 2);
  assert.equal(
    sums.labelCounts.reduce((a, b) => a + b),
    sums.tokens,
  );
  assert.ok(sums.correct / sums.tokens > 0.8);
  assert.ok(sums.loss / sums.tokens < entropyOf(sums.labelCounts) - 1);
  assert.deepEqual(await evaluate(model.transformer, source, plan), sums);
});

test('the entropy of counts is that of their frequencies', () => {
  assert.ok(Math.abs(entropyOf(Float64Array.of(2, 0, 1, 1)) - 1.5 * Math.LN2) < 1e-12);
});
