import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence } from '../../src/worker/silence.js';

test('silence is too long after the timeout, but for what this process stood still itself', () => {
  const silence = new Silence({ intervalMs: 1000, timeoutMs: 5000 }, 0);
  for (let now = 1000; now <= 4000; now += 1000) assert.equal(silence.isTooLong(now), false);
  assert.equal(silence.isTooLong(64_000), false); // it stood still for 59 s
  assert.equal(silence.isTooLong(65_000), true);
  silence.broken(65_500);
  assert.equal(silence.isTooLong(66_000), false);
});
