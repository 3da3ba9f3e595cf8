// Whatever comes from outside is decoded or refused: nothing crashes, hangs or takes memory without bounds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '../../src/protocol/frames.js';
import type { Decoder } from './decoder.js';
import { fuzz, planOf } from './fuzz.js';
import { decoders, inputOf } from './inputs.js';
import { problemOf } from './process.js';

const INPUTS = 200_000;
const SEED = 20_250_101;

test(`each of ${INPUTS} changed inputs is decoded or refused`, async () => {
  const failures = await fuzz(planOf(decoders, INPUTS), SEED);
  const lines = failures.map(
    ({ decoder, index, problem }) =>
      `${decoder}, input ${index}: ${problem}\nagain: npm run fuzz -- --decoder ${decoder} --seed ${SEED}`,
  );
  assert.equal(lines.join('\n\n'), '');
});

test('every decoder accepts the valid inputs that its changed ones are made from', async () => {
  for (const decoder of decoders) {
    // Arbitrary leases are of a valid form, but not of the one job that they are checked against.
    if (decoder.name === 'coordinator-to-worker') continue;
    for (const input of decoder.inputs) await decoder.decode(input);
  }
});

test('an input is a function of decoder, seed and number', () => {
  for (const decoder of decoders) {
    for (const index of [50, 1000]) {
      const input = Buffer.from(inputOf(decoder, 7, index));
      assert.deepEqual(Buffer.from(inputOf(decoder, 7, index)), input);
    }
  }
});

test('a decoder that throws something else, or keeps too much memory, is found', async () => {
  const broken = (decode: Decoder['decode']): Decoder => ({
    name: 'x',
    share: 1,
    inputs: [],
    words: [],
    decode,
  });
  const nothing = new Uint8Array(0);
  const throws = broken(() => (undefined as unknown as string).length);
  assert.match((await problemOf(throws, nothing)) ?? '', /TypeError/);
  const kept: Uint8Array[] = [];
  const allocates = broken(() => kept.push(new Uint8Array(2 ** 27).fill(1)));
  assert.match((await problemOf(allocates, nothing)) ?? '', /allocated \d+ bytes/);
  const refuses = broken(() => {
    throw new ProtocolError('refused');
  });
  assert.equal(await problemOf(refuses, nothing), null);
});
