import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted, formatBytes, formatCount, formatDuration } from '../../src/util/format.js';

test('numbers and durations are short', () => {
  assert.deepEqual([12345, 3.14159, 0].map(formatCount), ['12,345', '3.1', '0']);
  assert.deepEqual(
    [0, 1, 12345].map((count) => counted(count, 'worker')),
    ['0 workers', '1 worker', '12,345 workers'],
  );
  assert.deepEqual([7, 72.4, 3723, 1e6].map(formatDuration), ['0:07', '1:12', '1:02:03', '12 days']);
});

test('bytes have three digits or so', () => {
  const sizes = [0, 999, 1000, 12_345, 999_499, 999_500, 12_700_000, 5e9, 3e15];
  const texts = ['0 bytes', '999 bytes', '1 kB', '12.3 kB', '999 kB', '1 MB', '12.7 MB', '5 GB', '3,000 TB'];
  assert.deepEqual(sizes.map(formatBytes), texts);
});
