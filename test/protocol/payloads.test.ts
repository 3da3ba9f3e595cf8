// Samples and forward results as raw numbers: round trips, and payloads that are not what they claim.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from '../../src/protocol/frames.js';
import { decodeSamples, encodeSamples, type SamplesShape } from '../../src/protocol/samples.js';
import { decodeStats, encodeStats, type BatchStats } from '../../src/protocol/stats.js';
import { within } from './arbitraries.js';

const shape: fc.Arbitrary<SamplesShape> = fc.record({
  microBatches: fc.integer({ min: 1, max: 4 }),
  samples: fc.integer({ min: 1, max: 4 }),
  sequences: fc.constantFrom(1 as const, 2 as const),
});

const ids = fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 6 }).map((values) => Int32Array.from(values));

const samples = shape.chain((form) => {
  const exactly = <T>(any: fc.Arbitrary<T>, length: number): fc.Arbitrary<T[]> =>
    fc.array(any, { minLength: length, maxLength: length });
  return exactly(exactly(exactly(ids, form.sequences), form.samples), form.microBatches).map((values) => ({
    form,
    values,
  }));
});

const count = fc.nat({ max: 2 ** 40 });
const stats: fc.Arbitrary<BatchStats[]> = fc.array(
  fc
    .record({ loss: fc.double(), tokens: count, missed: count, sourceTokens: count })
    .map(({ missed, ...rest }) => ({ ...rest, correct: Math.max(0, rest.tokens - missed) })),
  { minLength: 1, maxLength: 8 },
);

const isRefusal = (error: unknown): boolean => error instanceof ProtocolError;

test('any samples come out as they went in, wherever the payload lies in memory', () => {
  fc.assert(
    fc.property(samples, fc.nat({ max: 7 }), ({ form, values }, offset) => {
      assert.deepEqual(decodeSamples(within(encodeSamples(values), offset), form), values);
    }),
  );
});

test('samples cut short or too long are refused', () => {
  fc.assert(
    fc.property(samples, fc.nat(), fc.integer({ min: 1, max: 9 }), ({ form, values }, seed, more) => {
      const payload = encodeSamples(values);
      assert.throws(() => decodeSamples(payload.subarray(0, seed % payload.length), form), isRefusal);
      assert.throws(
        () => decodeSamples(Buffer.concat([payload, Buffer.alloc(more)]), form),
        isRefusal,
        'a payload with bytes left over',
      );
    }),
  );
});

test('a payload of arbitrary bytes is samples that fill it, or is refused', () => {
  fc.assert(
    fc.property(shape, fc.uint8Array({ maxLength: 80 }), (form, payload) => {
      try {
        assert.ok(Buffer.from(encodeSamples(decodeSamples(payload, form))).equals(payload));
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }),
  );
});

test('any forward results come out as they went in, wherever the payload lies in memory', () => {
  fc.assert(
    fc.property(stats, fc.nat({ max: 7 }), (values, offset) => {
      assert.deepEqual(decodeStats(within(encodeStats(values), offset)), values);
    }),
  );
});

test('forward results cut short, empty, or with counts that are none are refused', () => {
  const one: BatchStats = { loss: 1, tokens: 2, correct: 1, sourceTokens: 3 };
  fc.assert(
    fc.property(stats, fc.nat({ max: 31 }), (values, cut) => {
      const payload = encodeStats(values);
      fc.pre(cut > 0);
      assert.throws(() => decodeStats(payload.subarray(0, payload.length - cut)), isRefusal);
    }),
  );
  assert.throws(() => decodeStats(new Uint8Array(0)), isRefusal);
  assert.throws(() => decodeStats(encodeStats([{ ...one, correct: 3 }])), isRefusal);
  assert.throws(() => decodeStats(encodeStats([one]), 1), isRefusal);
  for (const tokens of [-1, 0.5, NaN, Infinity, 2 ** 60]) {
    assert.throws(() => decodeStats(encodeStats([{ ...one, tokens }])), isRefusal);
  }
});
