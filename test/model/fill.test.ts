import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, type FillOptions, type TargetModel } from '../../src/model/fill.js';
import { logSoftmax } from '../../src/model/probabilities.js';

const MASK = 2;
const V = 10;

const options: FillOptions = {
  maskId: MASK,
  excluded: [0, 1, MASK],
  maxSpan: 1,
  beam: 3,
  alternatives: 2,
  lookahead: 4,
};

/** A model of the target alone: probabilities of the next token after a prefix. */
function modelOf(distribution: (prefix: readonly number[]) => readonly number[]): TargetModel {
  const logitsAfter = (prefix: readonly number[]): Float32Array =>
    Float32Array.from(distribution(prefix), Math.log);
  return {
    vocabularySize: V,
    next: (prefixes) => Float32Array.from(prefixes.flatMap((prefix) => [...logitsAfter(prefix)])),
    logProbabilities: (targets, from) =>
      targets.map((target) =>
        target.slice(from).map((token, i) => {
          const out = new Float64Array(V);
          logSoftmax(logitsAfter(target.slice(0, from + i)), out);
          return out[token]!;
        }),
      ),
  };
}

const peak = (entries: Record<number, number>): number[] =>
  Array.from({ length: V }, (_, id) => entries[id] ?? 0.01);

/** Knows one text by heart and nothing else. */
function memory(text: readonly number[]): TargetModel {
  return modelOf((prefix) => {
    const follows = prefix.every((token, i) => token === text[i]);
    return follows && prefix.length < text.length ? peak({ [text[prefix.length]!]: 0.9 }) : peak({});
  });
}

test('one token goes into each mask and the known tokens stay', () => {
  const filled = fill(memory([5, 6, 7, 8, 9]), [5, MASK, 7, MASK, 9], options);
  assert.deepEqual(filled.ids, [5, 6, 7, 8, 9]);
  assert.deepEqual(
    filled.masks.map(({ ids, position }) => ({ ids, position })),
    [
      { ids: [6], position: 1 },
      { ids: [8], position: 3 },
    ],
  );
  assert.ok(Math.abs(filled.logProbability - 2 * Math.log(0.9 / 0.99)) < 1e-6);
});

test('alternatives are the most probable tokens without the excluded ones, under the model as it is', () => {
  const model = modelOf(() => [0.3, 0.1, 0.1, 0.02, 0.2, 0.15, 0.06, 0.03, 0.02, 0.02]);
  const [mask] = fill(model, [4, MASK], options).masks;
  assert.deepEqual(
    mask!.alternatives.map(({ ids }) => ids),
    [[4], [5]],
  );
  assert.ok(Math.abs(Math.exp(mask!.alternatives[0]!.logProbability) - 0.2) < 1e-6);
});

test('a mask does not begin with the tokens that it is told not to, and may go on with them', () => {
  const model = memory([5, 6, 6, 8, 5]);
  const neverFirst = [[5], [6], []];
  const tokens = fill(model, [MASK, 6, MASK, 8, MASK], { ...options, neverFirst });
  assert.ok(tokens.ids[0] !== 5 && tokens.ids[2] !== 6, tokens.ids.join());
  const span = fill(model, [MASK, 8, 5], { ...options, maxSpan: 3, neverFirst: [[6]] });
  assert.deepEqual(span.masks[0]!.ids, [5, 6, 6]);
});

test('the beam takes back a first choice that a later mask makes improbable', () => {
  const model = modelOf((prefix) => {
    if (prefix.length === 0) return peak({ 4: 0.5, 5: 0.42 });
    return prefix[0] === 5 ? peak({ 6: 0.91 }) : peak({ 6: 0.2, 7: 0.2, 8: 0.2, 9: 0.2 });
  });
  assert.deepEqual(fill(model, [MASK, MASK], options).ids, [5, 6]);
  assert.equal(fill(model, [MASK, MASK], { ...options, beam: 1 }).ids[0], 4);
});

test('a span mask takes as many tokens as make the text that follows most probable', () => {
  const spans = { ...options, maxSpan: 4 };
  const text = [3, 4, 5, 6, 7, 8, 9];
  for (const [start, end] of [
    [1, 2],
    [1, 4],
    [2, 5],
    [0, 3],
  ] as const) {
    const pattern = [...text.slice(0, start), MASK, ...text.slice(end)];
    const filled = fill(memory(text), pattern, spans);
    assert.deepEqual(filled.ids, text, `span ${start}..${end}`);
    assert.deepEqual(filled.masks[0]!.ids, text.slice(start, end));
  }
});

test('several span masks are filled one after the other', () => {
  const text = [3, 4, 5, 6, 7, 8, 9, 3, 4];
  const model = memory(text);
  const scored: (readonly number[])[] = [];
  const watched: TargetModel = {
    ...model,
    logProbabilities: (targets, from) => {
      scored.push(...targets);
      return model.logProbabilities(targets, from);
    },
  };
  const filled = fill(watched, [3, MASK, 6, 7, MASK, 3, 4], { ...options, maxSpan: 3 });
  assert.ok(scored.length > 0 && !scored.flat().includes(MASK), 'what follows a mask ends before the next');
  assert.deepEqual(filled.ids, text);
  assert.deepEqual(
    filled.masks.map((mask) => [mask.position, mask.ids]),
    [
      [1, [4, 5]],
      [5, [8, 9]],
    ],
  );
});

test('a text without masks comes back as it is', () => {
  assert.deepEqual(fill(memory([]), [4, 5], options), { ids: [4, 5], masks: [], logProbability: 0 });
});
