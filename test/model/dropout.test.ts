import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DropoutSites } from '../../src/model/dropout.js';

const key = { seed: 1, step: 2, microBatch: 3 };

test('each dropout of a forward has a site of its own, from the first one up', () => {
  const sites = new DropoutSites(key, 0.1, 16);
  assert.deepEqual(sites.next(), { rate: 0.1, site: 16, key });
  assert.deepEqual(sites.next(), { rate: 0.1, site: 17, key });
});

test('without a key, or at rate 0, nothing is dropped', () => {
  assert.equal(new DropoutSites(null, 0.1, 16).next(), null);
  assert.equal(new DropoutSites(key, 0, 16).next(), null);
});
