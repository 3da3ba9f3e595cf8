// Encode and decode: what was said is what is heard, and what was damaged on the way is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { z } from 'zod';
import { encodeFrames, ProtocolError } from '../../src/protocol/frames.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  reducerToWorker,
  workerToCoordinator,
  workerToReducer,
  type Message,
} from '../../src/protocol/messages.js';
import {
  anyCoordinatorToWorker,
  anyPayload,
  anyReducerToWorker,
  anyWorkerToCoordinator,
  anyWorkerToReducer,
  within,
} from './arbitraries.js';

const UNIONS: readonly { name: string; schema: z.ZodType<Message>; any: fc.Arbitrary<Message> }[] = [
  { name: 'worker to coordinator', schema: workerToCoordinator, any: anyWorkerToCoordinator },
  { name: 'coordinator to worker', schema: coordinatorToWorker, any: anyCoordinatorToWorker },
  { name: 'worker to reducer', schema: workerToReducer, any: anyWorkerToReducer },
  { name: 'reducer to worker', schema: reducerToWorker, any: anyReducerToWorker },
];

/** What carries numbers; all else has no payload. */
const WITH_PAYLOAD = ['computed', 'evaluated', 'lease', 'evaluate', 'chunk', 'parameters'];

function refuses(schema: z.ZodType<Message>, frames: readonly Uint8Array[]): void {
  assert.throws(
    () => decode(schema, frames),
    (error) => error instanceof ProtocolError,
  );
}

for (const { name, schema, any } of UNIONS) {
  test(`any message from ${name} is heard as it was said`, () => {
    fc.assert(
      fc.property(any, anyPayload, fc.nat({ max: 7 }), (message, numbers, offset) => {
        const payload = WITH_PAYLOAD.includes(message.type) ? numbers : new Uint8Array(0);
        const frames = encode(message, payload).map((frame) => within(frame, offset));
        const { payload: heard, ...rest } = decode(schema, frames);
        assert.deepEqual(rest, message);
        assert.ok(Buffer.from(heard).equals(payload));
      }),
    );
  });

  test(`a message from ${name} cut short anywhere is refused`, () => {
    fc.assert(
      fc.property(any, anyPayload, fc.nat(), fc.boolean(), (message, payload, seed, cutsHeader) => {
        const frames = encode(message, payload);
        const target = cutsHeader || payload.length === 0 ? 0 : 1;
        const frame = frames[target]!;
        frames[target] = frame.subarray(0, seed % frame.length);
        refuses(schema, frames);
        refuses(schema, frames.slice(0, target));
      }),
    );
  });

  test(`a message from ${name} with any one bit flipped is refused`, () => {
    fc.assert(
      fc.property(any, anyPayload, fc.nat(), (message, payload, seed) => {
        const frames = encode(message, payload);
        const bits = frames.reduce((sum, frame) => sum + frame.length * 8, 0);
        let bit = seed % bits;
        for (const frame of frames) {
          if (bit >= 0 && bit < frame.length * 8) frame[bit >> 3]! ^= 1 << (bit & 7);
          bit -= frame.length * 8;
        }
        refuses(schema, frames);
      }),
      { numRuns: 300 },
    );
  });

  test(`a message from ${name} with a frame too many is refused`, () => {
    fc.assert(
      fc.property(any, anyPayload, fc.uint8Array({ maxLength: 9 }), (message, payload, extra) => {
        const frames = encode(message, payload);
        refuses(schema, [...frames, extra]);
        refuses(schema, [extra, ...frames]);
      }),
    );
  });

  test(`what is not of the union from ${name} is refused, whatever JSON it is`, () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => refuses(schema, encodeFrames({ type: 'no such type', value }))),
    );
    fc.assert(
      fc.property(any, fc.nat(), fc.constantFrom(null, -1, 0.5, {}, [], true), (message, seed, wrong) => {
        const fields = Object.entries(message).filter(
          ([field, value]) => typeof value === 'number' && field !== 'seconds',
        );
        const field = fields[seed % Math.max(1, fields.length)];
        fc.pre(field !== undefined);
        refuses(schema, encodeFrames({ ...message, [field[0]]: wrong }));
      }),
    );
  });
}

test('a payload where none belongs is refused', () => {
  refuses(workerToReducer, encode({ type: 'attach', session: 'some session', term: 1 }, new Uint8Array(4)));
});

test('a name that would write more than itself into a log or onto a terminal is refused', () => {
  const hello = { type: 'hello', host: 'h', runId: null, key: null } as const;
  for (const name of ['two\nlines', '\u001b[2J', '\u202e', '\u2028', 'x'.repeat(201)])
    refuses(workerToCoordinator, encode({ ...hello, name }));
});

test('random bytes are never a message', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 });
  fc.assert(fc.property(frames, (bytes) => refuses(workerToCoordinator, bytes)));
});

test('a message of another version of the protocol is named as such', () => {
  const frames = encode({ type: 'bye', reason: '', outcome: 'lost' });
  frames[0]![0]! ^= 3;
  assert.throws(() => decode(coordinatorToWorker, frames), /is the other side another version\?/);
});
