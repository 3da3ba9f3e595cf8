// Values with units: what they come to, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amountArgument, bandwidthArgument, durationArgument } from '../../src/cli/quantities.js';

test('units are read as they are written', () => {
  assert.equal(bandwidthArgument('10Gbit'), 1.25e9);
  assert.equal(bandwidthArgument('400 Mbit'), 50e6);
  assert.equal(bandwidthArgument('1.5GB'), 1.5e9);
  assert.equal(bandwidthArgument('unlimited'), Infinity);
  assert.equal(durationArgument('0.2ms'), 0.2);
  assert.equal(durationArgument('50us'), 0.05);
  assert.equal(durationArgument('1s'), 1000);
  assert.equal(durationArgument('2min'), 120_000);
  assert.equal(amountArgument('60M'), 60e6);
  assert.equal(amountArgument('1000'), 1000);
});

test('what has no unit, another or no number is refused with an example', () => {
  for (const wrong of ['10', '10Gb', '10 parsecs', 'Gbit', '-1Gbit', '']) {
    assert.throws(() => bandwidthArgument(wrong), /such as 10Gbit/);
  }
  for (const wrong of ['1', '1h', 's', '-1s', '1e3s']) {
    assert.throws(() => durationArgument(wrong), /such as 0\.2ms/);
  }
  for (const wrong of ['60m', 'M', '6O', '-5']) assert.throws(() => amountArgument(wrong), /such as 60M/);
});
