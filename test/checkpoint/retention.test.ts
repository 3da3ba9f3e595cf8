import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toDelete, type RetentionPolicy } from '../../src/checkpoint/retention.js';

const plain = { keepLast: 2, keepBest: false, keepEvery: null };

/** Steps 1, 2, … with these losses. */
function entries(losses: readonly (number | null)[]) {
  return losses.map((validationLoss, index) => ({ step: index + 1, term: 1, validationLoss }));
}

const table: [sentence: string, losses: (number | null)[], policy: RetentionPolicy, deleted: number[]][] = [
  ['the newest n stay', [null, null, null, null], plain, [1, 2]],
  ['fewer than n all stay', [null], plain, []],
  ['nothing is deleted of nothing', [], plain, []],
  ['the newest stays even if none is asked for', [null, null], { ...plain, keepLast: 0 }, [1]],
  ['the one with the lowest loss stays', [3, 1, 2, 4, 5], { ...plain, keepBest: true }, [1, 3]],
  ['of equal losses the newer one is the best', [1, 1, 2, 2], { ...plain, keepBest: true }, [1]],
  ['a checkpoint without a loss is never the best', [null, 2, 3, 4], { ...plain, keepBest: true }, [1]],
  ['every m-th stays', [null, null, null, null, null, null], { ...plain, keepEvery: 2 }, [1, 3]],
  [
    'the rules add up',
    [1, null, 0.5, 2, 3, 4, 5],
    { keepLast: 1, keepBest: true, keepEvery: 4 },
    [1, 2, 5, 6],
  ],
];
for (const [sentence, losses, policy, deleted] of table) {
  test(`retention: ${sentence}`, () => {
    assert.deepEqual(
      toDelete(entries(losses), policy).map(({ step }) => step),
      deleted,
    );
  });
}

test('of two checkpoints of one step the one of the older term is deleted', () => {
  const older = { step: 5, term: 1, validationLoss: 0 };
  const newer = { step: 5, term: 3, validationLoss: null };
  assert.deepEqual(toDelete([older, newer], { keepLast: 3, keepBest: true, keepEvery: 5 }), [older]);
});

test('retention never deletes the newest, nor anything again that it kept, whatever the order given', () => {
  const entry = fc.record({
    step: fc.nat(30),
    term: fc.integer({ min: 1, max: 3 }),
    validationLoss: fc.option(fc.double({ min: 0, max: 9, noNaN: true })),
  });
  const list = fc.uniqueArray(entry, { selector: ({ step, term }) => `${step}/${term}`, minLength: 1 });
  const policy = fc.record({
    keepLast: fc.nat(5),
    keepBest: fc.boolean(),
    keepEvery: fc.option(fc.integer({ min: 1, max: 7 })),
  });
  fc.assert(
    fc.property(list, policy, (all, rules) => {
      const deleted = toDelete(all, rules);
      const kept = all.filter((one) => !deleted.includes(one));
      const newest = Math.max(...all.map(({ step }) => step));
      assert.ok(kept.some(({ step }) => step === newest));
      assert.deepEqual(toDelete(kept, rules), []);
      assert.deepEqual(toDelete([...all].reverse(), rules), deleted);
    }),
  );
});
