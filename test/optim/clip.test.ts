import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clipScale } from '../../src/optim/clip.js';

test('a norm below the bound is left alone', () => {
  assert.equal(clipScale(0.5, 1), 1);
  assert.equal(clipScale(0, 1), 1);
});

test('a norm above the bound is brought to it, with the offset that PyTorch has', () => {
  assert.equal(clipScale(4, 1), 1 / (4 + 1e-6));
  assert.equal(clipScale(1, 1), 1 / (1 + 1e-6));
});

test('no bound never clips', () => {
  assert.equal(clipScale(1e30, null), 1);
});
