import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beamSearch, lengthPenalty, type BeamOptions } from '../../src/model/beam.js';
import { generate } from '../../src/model/generate.js';
import { RandomField } from '../../src/util/philox.js';
import { FakeDecoder, type Distribution } from './fake-decoder.js';

const END = 1;

function options(changes: Partial<BeamOptions>): BeamOptions {
  return {
    startId: 0,
    endId: END,
    beams: 2,
    lengthPenalty: 0,
    limits: [10],
    suppressed: [0],
    ...changes,
  };
}

/** Random rows that depend on the source and the whole prefix. */
const random: Distribution = (source, prefix) => {
  const key = prefix.reduce((hash, token) => (hash * 31 + token) >>> 0, source + 7);
  const field = new RandomField({ seed: key, step: 0, microBatch: 0, site: 0 });
  const weights = Array.from({ length: 6 }, (_, i) => field.uniform(i) ** 3);
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
};

/** Greedy takes 2 (0.6) and then can only get 0.36 · 0.5; 3 (0.4) leads to a certain end. */
const trap: Distribution = (_source, prefix) => {
  if (prefix.length === 1) return [0, 0, 0.6, 0.4];
  if (prefix.at(-1) === 3) return [0, 1, 0, 0];
  return prefix.length === 2 ? [0, 0.2, 0.4, 0.4] : [0, 0.5, 0.25, 0.25];
};

test('beam search finds the sequence that greedy decoding misses', () => {
  const greedy = beamSearch(new FakeDecoder(1, 4, trap), options({ beams: 1 }))[0]![0]!;
  const found = beamSearch(new FakeDecoder(1, 4, trap), options({ beams: 2 }))[0]![0]!;
  assert.equal(greedy.ids[0], 2);
  assert.deepEqual(found.ids, [3]);
  assert.ok(Math.abs(found.logProbability - Math.log(0.4)) < 1e-6);
  assert.ok(found.logProbability > greedy.logProbability);
});

test('a beam of width 1 is greedy decoding, whatever the length penalty', () => {
  const limits = [3, 8, 8, 0, 8];
  const greedy = generate(new FakeDecoder(5, 6, random), {
    startId: 0,
    endId: END,
    limits,
    suppressed: [0],
    sampling: null,
    seed: 0,
    firstSequence: 0,
  });
  for (const alpha of [0, 0.6, 2]) {
    const beams = beamSearch(
      new FakeDecoder(5, 6, random),
      options({ beams: 1, lengthPenalty: alpha, limits }),
    );
    beams.forEach((beam, i) => {
      if (limits[i] === 0) return assert.deepEqual(beam, []);
      assert.deepEqual(beam[0]!.ids, greedy[i]!.ids);
      assert.equal(beam[0]!.ended, greedy[i]!.ended);
      assert.ok(Math.abs(beam[0]!.logProbability - greedy[i]!.logProbability) < 1e-9);
    });
  }
});

test('a beam as wide as the tree finds the most probable sequence of all', () => {
  // 5 tokens may follow each other up to 3 times: enumerate them all.
  const all: { ids: number[]; logProbability: number }[] = [];
  const visit = (ids: number[], logProbability: number): void => {
    const raw = random(0, [0, ...ids]).map((p, i) => (i === 0 ? 0 : p));
    const sum = raw.reduce((a, b) => a + b);
    raw.forEach((p, token) => {
      const next = logProbability + Math.log(p / sum);
      if (p === 0) return;
      if (token === END) all.push({ ids, logProbability: next });
      else if (ids.length === 2) all.push({ ids: [...ids, token], logProbability: next });
      else visit([...ids, token], next);
    });
  };
  visit([], 0);
  all.sort((a, b) => b.logProbability - a.logProbability);
  const found = beamSearch(new FakeDecoder(1, 6, random), options({ beams: 200, limits: [3] }))[0]!;
  assert.deepEqual(
    found.slice(0, 5).map((hypothesis) => hypothesis.ids),
    all.slice(0, 5).map((one) => one.ids),
  );
});

test('the n best come best first and a larger length penalty prefers longer outputs', () => {
  // Ends at once with 0.5, or writes 2 four times almost surely before it ends.
  const long: Distribution = (_source, prefix) =>
    prefix.length === 1
      ? [0, 0.5, 0.45, 0.05]
      : prefix.length < 5
        ? [0, 0.02, 0.96, 0.02]
        : [0, 0.9, 0.05, 0.05];
  const search = (alpha: number): readonly number[] =>
    beamSearch(new FakeDecoder(1, 4, long), options({ beams: 3, lengthPenalty: alpha }))[0]![0]!.ids;
  assert.deepEqual(search(0), []);
  assert.deepEqual(search(1), [2, 2, 2, 2]);
  const beams = beamSearch(new FakeDecoder(1, 6, random), options({ beams: 4 }))[0]!;
  assert.equal(beams.length, 4);
  for (let i = 1; i < 4; i++) assert.ok(beams[i - 1]!.score >= beams[i]!.score);
  assert.equal(new Set(beams.map((beam) => beam.ids.join())).size, 4);
  assert.ok(Math.abs(lengthPenalty(7, 0.5) - Math.SQRT2) < 1e-12);
});

test('sources searched together give what each gives alone', () => {
  const together = beamSearch(
    new FakeDecoder(4, 6, random),
    options({ beams: 3, lengthPenalty: 0.6, limits: [9, 2, 9, 5] }),
  );
  [9, 2, 9, 5].forEach((limit, source) => {
    const alone = beamSearch(
      new FakeDecoder(1, 6, (_zero, prefix) => random(source, prefix)),
      options({ beams: 3, lengthPenalty: 0.6, limits: [limit] }),
    );
    assert.deepEqual(together[source], alone[0]);
  });
});
