import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate, type GenerateOptions } from '../../src/model/generate.js';
import { FakeDecoder, type Distribution } from './fake-decoder.js';

const END = 1;

function options(changes: Partial<GenerateOptions>): GenerateOptions {
  return {
    startId: 0,
    endId: END,
    limits: [6, 6, 6],
    suppressed: [0],
    sampling: null,
    seed: 1,
    firstSequence: 0,
    ...changes,
  };
}

/** Source s writes 2 + s for s + 1 tokens, then ends. */
const counting: Distribution = (source, prefix) => {
  const wanted = prefix.length > source + 1 ? END : 2 + source;
  return Array.from({ length: 6 }, (_, id) => (id === wanted ? 0.5 : 0.1));
};

const flat: Distribution = () => [0.3, 0.05, 0.2, 0.2, 0.15, 0.1];

test('each row ends at its end token or its limit and then leaves the batch', () => {
  const decoder = new FakeDecoder(3, 6, counting);
  const generated = generate(decoder, options({ limits: [6, 6, 2] }));
  assert.deepEqual(
    generated.map((one) => one.ids),
    [[2], [3, 3], [4, 4]],
  );
  assert.deepEqual(
    generated.map((one) => one.ended),
    [true, true, false],
  );
  assert.deepEqual(decoder.rowsSeen, [3, 3, 1]);
});

test('log-probabilities are summed over the tokens, the end included, without the suppressed ones', () => {
  const [first] = generate(new FakeDecoder(1, 6, counting), options({ limits: [6] }));
  assert.ok(Math.abs(first!.logProbability - 2 * Math.log(0.5 / 0.9)) < 1e-6);
});

test('a seed reproduces its samples, another seed gives others, and a suppressed token is never drawn', () => {
  const sampling = { temperature: 1, topK: null, topP: null };
  const run = (seed: number): string =>
    JSON.stringify(
      generate(new FakeDecoder(3, 6, flat), options({ sampling, seed, limits: [20, 20, 20] })).map(
        (one) => one.ids,
      ),
    );
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
  assert.doesNotMatch(run(1), /\b0\b/);
});

test('a sequence draws the same tokens in whatever batch it is generated', () => {
  const sampling = { temperature: 1, topK: 4, topP: 0.9 };
  const limits = [20, 20, 20];
  const together = generate(new FakeDecoder(3, 6, flat), options({ sampling, limits }));
  const alone = generate(new FakeDecoder(1, 6, flat), options({ sampling, limits: [20], firstSequence: 2 }));
  assert.deepEqual(alone[0], together[2]);
});

test('sequences of one batch draw independently', () => {
  const sampling = { temperature: 1, topK: null, topP: null };
  const generated = generate(new FakeDecoder(3, 6, flat), options({ sampling, limits: [20, 20, 20] }));
  assert.equal(new Set(generated.map(({ ids }) => ids.join())).size, 3);
});
