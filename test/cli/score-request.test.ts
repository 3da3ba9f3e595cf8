import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkIds, parseScoreRequest } from '../../src/cli/score-request.js';
import { userError } from '../support/user-error.js';

const fault = (pattern: RegExp) => userError('SCORE_LINE_INVALID', pattern);

test('both kinds of line are read, and other keys are ignored', () => {
  assert.deepEqual(parseScoreRequest('{"source":"a","target":"","id":7}', 'f', 1), {
    kind: 'text',
    source: 'a',
    target: '',
  });
  assert.deepEqual(parseScoreRequest('{"sourceIds":[1,2],"targetIds":[]}', 'f', 1), {
    kind: 'ids',
    sourceIds: [1, 2],
    targetIds: [],
  });
});

test('a malformed line is a fault of the user that names the file, the line and what was found', () => {
  const cases: [string, RegExp][] = [
    ['{"source":"a"', /^pairs\.jsonl, line 12: expected one JSON object, got \{"source":"a"$/],
    ['[1]', /line 12: expected \{"source".*got \[1\]/],
    ['null', /line 12.*got null/],
    ['{"src":"a","tgt":"b"}', /got the keys \["src","tgt"\]/],
    ['{"source":"a","target":"b","targetIds":[1]}', /got both/],
    ['{"source":"a"}', /expected "target" to be a string, got nothing/],
    ['{"source":1,"target":"b"}', /expected "source" to be a string, got 1/],
    ['{"sourceIds":[1],"targetIds":"x"}', /expected "targetIds" to be a list of token ids, got "x"/],
    ['{"sourceIds":[1,2.5],"targetIds":[]}', /expected "sourceIds\[1\]" to be a token id.*got 2\.5/],
  ];
  for (const [line, pattern] of cases) {
    assert.throws(() => parseScoreRequest(line, 'pairs.jsonl', 12), fault(pattern), line);
  }
});

test('ids outside the vocabulary, too long sequences and an empty source are refused', () => {
  const limits = { vocabularySize: 10, maxLength: 3 };
  checkIds('source', [0, 9, 1], limits, 'f', 1);
  checkIds('target', [], limits, 'f', 1);
  assert.throws(
    () => checkIds('target', [3, 10], limits, 'f', 4),
    fault(/line 4: .*target ids from 0 to 9, got 10 at index 1/),
  );
  assert.throws(() => checkIds('source', [-1], limits, 'f', 4), fault(/got -1 at index 0/));
  assert.throws(() => checkIds('source', [], limits, 'f', 4), fault(/at least one source token/));
  assert.throws(
    () => checkIds('source', [1, 1, 1, 1], limits, 'f', 4),
    fault(/a source of at most 3 tokens.*got 4/),
  );
});
