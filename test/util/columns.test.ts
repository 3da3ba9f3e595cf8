import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLine, span } from '../../src/cli/spans.js';
import { cut, padding, widthOf } from '../../src/util/columns.js';
import { table } from '../../src/util/table.js';

const NAMES = ['worker', '工人', 'e\u0301te\u0301', '👩‍👩‍👧'];

test('a text is as wide as a terminal shows it', () => {
  assert.deepEqual(NAMES.map(widthOf), [6, 4, 3, 2]);
});

test('a text is cut between characters, and never wider than its columns', () => {
  assert.deepEqual(
    NAMES.map((name) => cut(name, 3)),
    ['wor', '工', 'e\u0301te\u0301', '👩‍👩‍👧'],
  );
  assert.deepEqual(
    NAMES.map((name) => cut(name, 1)),
    ['w', '', 'e\u0301', ''],
  );
});

test('a line ends where it was cut, though a column is left over', () => {
  assert.equal(renderLine([span('ab工人'), span('XYZ')], 3, false), 'ab');
});

test('columns of a table stand below each other whatever is written in them', () => {
  const lines = table(NAMES.map((name) => [name, '7'])).split('\n');
  assert.deepEqual(new Set(lines.map(widthOf)), new Set([9]));
  assert.equal(padding('worker', 3), '');
});
