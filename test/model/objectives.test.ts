import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Batch } from '../../src/model/batch.js';
import {
  buildBatch,
  buildEvaluationBatch,
  type ObjectiveConfig,
  type TokenIds,
} from '../../src/model/objectives.js';

const tokens: TokenIds = {
  padId: 0,
  endId: 1,
  startId: 0,
  maskId: 2,
  vocabularySize: 100,
  specialIds: [0, 1, 2, 50],
};
const key = { seed: 5, step: 3, microBatch: 2 };
const token: ObjectiveConfig = {
  kind: 'masked',
  rate: 0.15,
  corruption: 'token',
  meanSpan: 3,
  loss: 'hidden',
};
const span: ObjectiveConfig = { ...token, corruption: 'span' };
const objectives: ObjectiveConfig[] = [token, span, { ...token, loss: 'all' }, { kind: 'causal' }];

/** A text of `length` regular tokens. */
function text(length: number, first = 3): Int32Array {
  return Int32Array.from({ length }, (_, i) => 3 + ((first + i) % 47));
}

function sourceOf(batch: Batch, row: number): number[] {
  const start = row * batch.sourceLength;
  return [...batch.source.subarray(start, start + batch.sourceLengths[row]!)];
}

/** The target of a row, whose last token is known only where it carries loss. */
function decoderInputOf(batch: Batch, row: number): number[] {
  const start = row * batch.targetLength;
  return [...batch.decoderInput.subarray(start, start + batch.targetLengths[row]!)];
}

/** Positions of a row's target that carry loss. */
function lossPositions(batch: Batch, row: number): number[] {
  const { targetLength } = batch;
  return [...batch.lossRows].filter((r) => Math.floor(r / targetLength) === row).map((r) => r % targetLength);
}

const anyText = fc.array(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 40 });
const anyTexts = fc.array(anyText, { minLength: 1, maxLength: 5 });

test('a batch is well formed for any samples, objective and length', () => {
  const maxLength = fc.integer({ min: 2, max: 30 });
  fc.assert(
    fc.property(
      anyTexts,
      fc.constantFrom(...objectives),
      maxLength,
      fc.nat(),
      (texts, objective, limit, seed) => {
        const samples = texts.map((ids) => [Int32Array.from(ids)]);
        const batch = buildBatch(samples, objective, tokens, { ...key, seed }, limit);
        assert.equal(batch.samples, samples.length);
        assert.equal(batch.source.length, batch.samples * batch.sourceLength);
        assert.equal(batch.decoderInput.length, batch.samples * batch.targetLength);
        assert.equal(batch.sourceLength, Math.max(...batch.sourceLengths));
        assert.equal(batch.targetLength, Math.max(...batch.targetLengths));
        assert.ok(batch.sourceLength <= limit && batch.targetLength <= limit);
        for (let row = 0; row < batch.samples; row++) {
          assert.equal(sourceOf(batch, row).at(-1), tokens.endId);
          assert.equal(decoderInputOf(batch, row)[0], tokens.startId);
          assert.ok(batch.targetLengths[row]! >= 1);
          const padding = batch.source.subarray(
            row * batch.sourceLength + batch.sourceLengths[row]!,
            (row + 1) * batch.sourceLength,
          );
          assert.ok(padding.every((id) => id === tokens.padId));
          assert.ok(lossPositions(batch, row).every((position) => position < batch.targetLengths[row]!));
        }
        assert.equal(batch.labels.length, batch.lossRows.length);
        assert.ok([...batch.lossRows].every((row, i) => i === 0 || row > batch.lossRows[i - 1]!));
        // The label of a row is the token that the decoder is fed next.
        for (const [i, row] of batch.lossRows.entries()) {
          const last =
            row % batch.targetLength === batch.targetLengths[Math.floor(row / batch.targetLength)]! - 1;
          if (!last) assert.equal(batch.labels[i], batch.decoderInput[row + 1]);
        }
      },
    ),
  );
});

test('the same key gives the same batch, and seed, step and micro-batch each change it', () => {
  const samples = Array.from({ length: 8 }, (_, i) => [text(60, i)]);
  for (const objective of objectives) {
    const make = (change: object): string =>
      [...buildBatch(samples, objective, tokens, { ...key, ...change }, 64).source].join();
    const base = make({});
    assert.equal(make({}), base);
    for (const change of [{ seed: 6 }, { seed: 5 + 2 ** 32 }, { step: 4 }, { microBatch: 1 }])
      assert.notEqual(make(change), base);
  }
});

test('equal samples of one batch are corrupted differently', () => {
  for (const objective of objectives) {
    const batch = buildBatch([[text(60)], [text(60)]], objective, tokens, key, 64);
    assert.notDeepEqual(sourceOf(batch, 0), sourceOf(batch, 1));
  }
});

test('a sample is corrupted in the same way whatever samples follow it', () => {
  for (const objective of objectives) {
    const alone = buildBatch([[text(60)]], objective, tokens, key, 64);
    const first = buildBatch([[text(60)], [text(30, 9)]], objective, tokens, key, 64);
    assert.deepEqual(sourceOf(first, 0), sourceOf(alone, 0));
  }
});

test('token corruption hides 15 % exactly: 80 % masks, 10 % random tokens, 10 % as they were', () => {
  const samples = Array.from({ length: 200 }, (_, i) => [text(100, i)]);
  const batch = buildBatch(samples, token, tokens, key, 128);
  assert.equal(batch.lossRows.length, 200 * 15);
  const kinds = { mask: 0, same: 0, other: 0 };
  const replacements = new Set<number>();
  for (const [i, row] of batch.lossRows.entries()) {
    const position = row % batch.targetLength;
    const found = batch.source[Math.floor(row / batch.targetLength) * batch.sourceLength + position]!;
    if (found === tokens.maskId) kinds.mask++;
    else if (found === batch.labels[i]) kinds.same++;
    else {
      kinds.other++;
      replacements.add(found);
      assert.ok(!tokens.specialIds.includes(found), `the special token ${found} was put in`);
    }
  }
  // Standard deviations of the shares over 3,000 tokens: 0.7 % and 0.55 %.
  assert.ok(Math.abs(kinds.mask / 3000 - 0.8) < 0.03, JSON.stringify(kinds));
  assert.ok(Math.abs(kinds.same / 3000 - 0.1) < 0.025, JSON.stringify(kinds));
  assert.ok(Math.abs(kinds.other / 3000 - 0.1) < 0.025, JSON.stringify(kinds));
  assert.ok(replacements.size > 85 && Math.max(...replacements) === 99 && Math.min(...replacements) === 3);
});

test('token corruption leaves what is not hidden, special tokens above all, as it is', () => {
  const ids = Int32Array.from([3, 1, 4, 50, 5, 6, 1, 7, 8, 9]);
  for (let step = 0; step < 50; step++) {
    const batch = buildBatch([[ids]], { ...token, rate: 0.5 }, tokens, { ...key, step }, 64);
    const hidden = lossPositions(batch, 0);
    assert.equal(hidden.length, Math.round(0.5 * 7));
    const source = sourceOf(batch, 0);
    assert.equal(source.length, ids.length + 1);
    for (const [position, id] of ids.entries()) {
      if (tokens.specialIds.includes(id)) assert.ok(!hidden.includes(position));
      if (!hidden.includes(position)) assert.equal(source[position], id);
    }
    assert.deepEqual(decoderInputOf(batch, 0), [tokens.startId, ...ids.slice(0, -1)]);
  }
});

test('every position is hidden equally often, within five standard deviations', () => {
  for (const objective of [token, span]) {
    const counts = new Uint32Array(20);
    const trials = 2000;
    for (let step = 0; step < trials; step++) {
      const batch = buildBatch([[text(20)]], { ...objective, rate: 0.3 }, tokens, { ...key, step }, 64);
      for (const position of lossPositions(batch, 0)) counts[position]!++;
    }
    const deviation = Math.sqrt(trials * 0.3 * 0.7);
    // Tokens of a span are hidden together, but a trial counts once for a position.
    for (const count of counts) assert.ok(Math.abs(count - trials * 0.3) < 5 * deviation, counts.join(' '));
  }
});

test('a span becomes one mask, and the source with its masks filled in is the text', () => {
  fc.assert(
    fc.property(
      anyText,
      fc.double({ min: 0.05, max: 0.9, noNaN: true }),
      fc.integer({ min: 1, max: 8 }),
      (ids, rate, meanSpan) => {
        // Masks in the text itself would be indistinguishable.
        const clean = ids.filter((id) => id !== tokens.maskId);
        fc.pre(clean.length > 0);
        const batch = buildBatch([[Int32Array.from(clean)]], { ...span, rate, meanSpan }, tokens, key, 64);
        const hidden = new Set(lossPositions(batch, 0));
        const regular = clean.filter((id) => !tokens.specialIds.includes(id)).length;
        assert.equal(hidden.size, regular === 0 ? 0 : Math.max(1, Math.round(rate * regular)));
        const expected = clean.flatMap((id, position) =>
          hidden.has(position) ? (hidden.has(position - 1) ? [] : [tokens.maskId]) : [id],
        );
        assert.deepEqual(sourceOf(batch, 0), [...expected, tokens.endId]);
      },
    ),
  );
});

test('spans have the mean length asked for: their number is exact, but for one that runs over the end', () => {
  const numbers = Array.from({ length: 200 }, (_, step) => {
    const batch = buildBatch([[text(400)]], span, tokens, { ...key, step }, 512);
    assert.equal(batch.lossRows.length, 60);
    return sourceOf(batch, 0).filter((id) => id === tokens.maskId).length;
  });
  assert.deepEqual([...new Set(numbers)].sort(), [20, 21]);
  assert.ok(numbers.filter((number) => number === 20).length > 150);
});

test('a sample with a single token hides it, and one of special tokens only carries no loss', () => {
  for (const objective of [token, span]) {
    const batch = buildBatch(
      [[Int32Array.from([7])], [Int32Array.from([1, 1, 50])]],
      objective,
      tokens,
      key,
      16,
    );
    assert.deepEqual([...batch.lossRows], [0]);
    assert.deepEqual([...batch.labels], [7]);
    assert.deepEqual(sourceOf(batch, 1), [1, 1, 50, 1]);
  }
  const nothing = buildBatch([[Int32Array.from([1])]], token, tokens, key, 16);
  assert.equal(nothing.lossRows.length, 0);
  assert.equal(nothing.targetLength, 1);
});

test('loss on all: every token of every target carries loss', () => {
  const batch = buildBatch([[text(5)], [text(9)]], { ...token, loss: 'all' }, tokens, key, 64);
  assert.deepEqual([...batch.labels], [...text(5), ...text(9)]);
});

test('causal: source and target put together are the window, split at every point but the end', () => {
  const window = text(6);
  const seen = new Set<number>();
  for (let step = 0; step < 100; step++) {
    const batch = buildBatch([[window]], { kind: 'causal' }, tokens, { ...key, step }, 64);
    const prefix = sourceOf(batch, 0).slice(0, -1);
    seen.add(prefix.length);
    assert.deepEqual([...prefix, ...batch.labels], [...window]);
    assert.equal(batch.lossRows.length, batch.targetLengths[0]);
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5]);
});

test('seq2seq: both sides end with the end token, and the longer side sets the padding', () => {
  const samples = [
    [Int32Array.from([5, 6]), Int32Array.from([7])],
    [Int32Array.from([8]), Int32Array.from([9, 10, 11])],
  ];
  const batch = buildBatch(samples, { kind: 'seq2seq' }, tokens, key, 64);
  assert.deepEqual([...batch.source], [5, 6, 1, 8, 1, 0]);
  assert.deepEqual([...batch.sourceLengths], [3, 2]);
  assert.deepEqual([...batch.decoderInput], [0, 7, 0, 0, 0, 9, 10, 11]);
  assert.deepEqual([...batch.targetLengths], [2, 4]);
  assert.deepEqual([...batch.lossRows], [0, 1, 4, 5, 6, 7]);
  assert.deepEqual([...batch.labels], [7, 1, 9, 10, 11, 1]);
});

test('a source that is too long keeps its end token; a target that is too long is not ended early', () => {
  const batch = buildBatch([[text(10), text(10)]], { kind: 'seq2seq' }, tokens, key, 4);
  assert.deepEqual(sourceOf(batch, 0), [...text(3), tokens.endId]);
  assert.deepEqual([...batch.labels], [...text(4)]);
  const exact = buildBatch([[text(3), text(3)]], { kind: 'seq2seq' }, tokens, key, 4);
  assert.deepEqual([...exact.labels], [...text(3), tokens.endId]);
  const masked = buildBatch([[text(10)]], token, tokens, key, 4);
  assert.equal(masked.targetLength, 3);
  assert.equal(sourceOf(masked, 0).length, 4);
});

test('an evaluation hides the same tokens every time, and counts only those of a masked model', () => {
  const samples = [text(60), text(60, 9)].map((ids) => [ids]);
  const trained: ObjectiveConfig = { ...token, loss: 'all' };
  const batch = buildEvaluationBatch(samples, trained, tokens, { seed: 5, microBatch: 2 }, 64);
  assert.equal(batch.labels.length, 18); // 15 % of 60, twice
  assert.deepEqual(buildEvaluationBatch(samples, trained, tokens, { seed: 5, microBatch: 2 }, 64), batch);
  const training = buildBatch(samples, trained, tokens, { seed: 5, step: 0, microBatch: 2 }, 64);
  assert.notDeepEqual(training.source, batch.source);
});
