import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Standstill } from '../../src/util/standstill.js';

test('a tick that is late by more than half the timeout tells by how much, once', () => {
  const standstill = new Standstill({ intervalMs: 1000, timeoutMs: 5000 });
  assert.equal(standstill.tick(70_000), 0, 'nothing is known before the first');
  assert.equal(standstill.tick(71_000), 0);
  assert.equal(standstill.tick(74_500), 0, 'late by half the timeout');
  assert.equal(standstill.tick(134_500), 59_000);
  assert.equal(standstill.tick(135_500), 0);
});

test('ticks that come more often than the interval are never late', () => {
  const standstill = new Standstill({ intervalMs: 1000, timeoutMs: 5000 });
  for (let now = 0; now < 2000; now += 100) assert.equal(standstill.tick(now), 0);
});
