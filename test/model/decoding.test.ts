import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { beamSearch } from '../../src/model/beam.js';
import { generate } from '../../src/model/generate.js';
import { padRows } from '../../src/model/pad.js';
import { argMax } from '../../src/model/probabilities.js';
import { drawToken } from '../../src/model/sampling-strategies.js';
import { inScope } from '../../src/model/scope.js';
import { scorePairs } from '../../src/model/score.js';
import { TransformerDecoder } from '../../src/model/transformer-decoder.js';
import { TransformerTarget } from '../../src/model/transformer-target.js';
import type { Transformer } from '../../src/model/transformer.js';
import { RandomField, RandomSite } from '../../src/util/philox.js';
import { trainableModel } from './trainable.js';

const sources = [[5, 6, 7, 1], [9, 1], [1], [3, 14, 15, 9, 2, 6, 5, 1]].map((ids) => Int32Array.from(ids));

/** Decoding by running the whole decoder again for every token. */
function uncached(
  transformer: Transformer,
  source: Int32Array,
  limit: number,
  choose: (logits: Float32Array, position: number) => number,
): number[] {
  const { padId, startId, endId, width } = transformer.config;
  const ids: number[] = [];
  while (ids.length < limit) {
    const next = inScope(() => {
      const padded = padRows([source], padId);
      const memory = transformer.encode(padded.ids, padded.lengths, null);
      const input = tf.tensor2d([startId, ...ids], [1, ids.length + 1], 'int32');
      const hidden = transformer.decode(input, memory, padded.lengths, null);
      const last = hidden.slice([0, ids.length, 0], [1, 1, width]);
      return choose(transformer.logits(last).dataSync<'float32'>(), ids.length);
    });
    if (next === endId) break;
    ids.push(next);
  }
  return ids;
}

const sampling = { temperature: 1.5, topK: 10, topP: 0.95 };

for (const norm of ['post', 'pre'] as const) {
  test(`decoding with the cache, batched, chooses what it chooses without, ${norm}-norm`, async () => {
    const { transformer, config } = await trainableModel({ norm, activation: 'gelu' }, 3);
    const limits = [20, 3, 12, 20];
    const run = (how: typeof sampling | null): (readonly number[])[] => {
      const decoder = new TransformerDecoder(transformer, sources);
      const options = { ...config, limits, suppressed: [], seed: 4, firstSequence: 0 };
      const generated = generate(decoder, { ...options, sampling: how });
      decoder.dispose();
      return generated.map(({ ids }) => ids);
    };
    const greedy = run(null);
    const sampled = run(sampling);
    sources.forEach((source, i) => {
      const field = new RandomField({ seed: 4, step: 0, microBatch: i, site: RandomSite.sample });
      const draw = (logits: Float32Array, position: number): number =>
        drawToken(logits, sampling, field.uniform(position));
      assert.deepEqual(greedy[i], uncached(transformer, source, limits[i]!, argMax), `source ${i}, greedy`);
      assert.deepEqual(sampled[i], uncached(transformer, source, limits[i]!, draw), `source ${i}, sampled`);
    });
    assert.ok(new Set(sampled.flat()).size > 5, 'the samples are varied');
  });
}

test('the sum that decoding reports is what scoring its output gives, for greedy and for every hypothesis', async () => {
  const { transformer, config } = await trainableModel({}, 3);
  const limits = sources.map(() => 9);
  const decoder = new TransformerDecoder(transformer, sources);
  const beams = beamSearch(decoder, { ...config, limits, suppressed: [], beams: 3, lengthPenalty: 0.6 });
  decoder.dispose();
  beams.forEach((hypotheses, i) => {
    assert.equal(hypotheses.length, 3);
    const targets = hypotheses.map(({ ids, ended }) => (ended ? [...ids, config.endId] : ids));
    const scores = scorePairs(
      transformer,
      targets.map((target) => ({ source: sources[i]!, target })),
    );
    hypotheses.forEach(({ logProbability }, n) => {
      const sum = scores[n]!.reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum - logProbability) < 1e-4, `${sum} and ${logProbability}`);
    });
  });
});

test('scores of a batch of pairs are minus the cross-entropy of the model, whatever the padding', async () => {
  const { transformer, config } = await trainableModel({ norm: 'post' }, 5);
  const targets = [[4, 5, 6, 1], [7, 8, 9, 10, 11, 1], [], [12]];
  const scores = scorePairs(
    transformer,
    sources.map((source, i) => ({ source, target: targets[i]! })),
  );
  targets.forEach((target, i) => {
    assert.equal(scores[i]!.length, target.length);
    if (target.length === 0) return;
    const batch = {
      samples: 1,
      sourceLength: sources[i]!.length,
      targetLength: target.length,
      source: sources[i]!,
      sourceLengths: Int32Array.of(sources[i]!.length),
      decoderInput: Int32Array.from([config.startId, ...target.slice(0, -1)]),
      targetLengths: Int32Array.of(target.length),
      lossRows: Int32Array.from(target.keys()),
      labels: Int32Array.from(target),
    };
    const { loss } = transformer.loss(batch, { smoothing: 0, random: null });
    const sum = scores[i]!.reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum + loss.dataSync()[0]!) < 1e-4);
    loss.dispose();
  });
});

test('a target model continues and scores as the batched functions do', async () => {
  const { transformer } = await trainableModel({}, 6);
  const source = sources[3]!;
  const model = new TransformerTarget(transformer, source);
  const targets = [
    [4, 5, 6],
    [4, 5, 7, 8, 9],
  ];
  const whole = scorePairs(
    transformer,
    targets.map((target) => ({ source, target })),
  );
  model.logProbabilities(targets, 1).forEach((scores, i) => {
    assert.equal(scores.length, targets[i]!.length - 1);
    scores.forEach((score, t) => assert.ok(Math.abs(score - whole[i]![t + 1]!) < 1e-5));
  });
  const logits = model
    .next([
      [4, 5],
      [9, 9],
    ])
    .subarray(0, model.vocabularySize);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  assert.ok(Math.abs(logits[6]! - Math.log(sum) - whole[0]![2]!) < 1e-5);
  model.dispose();
});

test('decoding, scoring and their ends leave no tensor behind', async () => {
  const { transformer, config } = await trainableModel({}, 7);
  const before = tf.memory().numTensors;
  const decoder = new TransformerDecoder(transformer, sources);
  beamSearch(decoder, { ...config, limits: [4, 4, 4, 4], suppressed: [0], beams: 2, lengthPenalty: 0 });
  decoder.dispose();
  scorePairs(transformer, [{ source: sources[0]!, target: [4, 5] }]);
  const model = new TransformerTarget(transformer, sources[0]!);
  model.next([[1, 2]]);
  model.logProbabilities([[1, 2]], 0);
  model.dispose();
  assert.equal(tf.memory().numTensors, before);
});
