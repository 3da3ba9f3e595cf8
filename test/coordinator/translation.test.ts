import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  connectionEnded,
  eventOfReducer,
  eventOfWorker,
  protocolBroken,
  taskMessage,
  workerFailed,
  workerLeft,
} from '../../src/coordinator/translation.js';
import { ProtocolError } from '../../src/protocol/frames.js';
import { encodeStats } from '../../src/protocol/stats.js';

const ENVELOPE = { session: 'a session', term: 3 };
const NODE = { step: 7, round: 0, level: 1, index: 2 };

test('a worker that breaks the protocol is refused, and one that is lost in any other way may come back', () => {
  assert.equal(protocolBroken('it speaks in tongues').outcome, 'refused');
  const others = [workerLeft('bye'), connectionEnded('reducer'), workerFailed('it does not read')];
  assert.deepEqual(
    others.map(({ outcome }) => outcome),
    ['lost', 'lost', 'lost'],
  );
});

test('results of more tokens than a micro-batch has are no event', () => {
  const stats = [{ loss: 1, tokens: 9, correct: 0, sourceTokens: 1 }];
  const message = {
    type: 'computed',
    ...ENVELOPE,
    ...NODE,
    seconds: 2,
    payload: encodeStats(stats),
  } as const;
  const event = eventOfWorker('a session', message, 9);
  assert.deepEqual(event, { type: 'computed', session: 'a session', node: NODE, stats, seconds: 2 });
  assert.throws(() => eventOfWorker('a session', message, 8), ProtocolError);
});

test('what is heard of a reducer names it, where the state machine tells reducers apart', () => {
  const covered = { type: 'covered', step: 7, round: 0, leaves: [1] } as const;
  assert.deepEqual(eventOfReducer(1, covered), covered);
  const hashed = { type: 'hashed', session: 'a session', node: NODE, hash: 'h' } as const;
  assert.deepEqual(eventOfReducer(1, hashed), { ...hashed, reducer: 1 });
});

test('no worker is told whether its lease is audited', () => {
  const lease = { type: 'lease', session: 'a session', node: NODE, audited: true } as const;
  const shape = { microBatches: 2, samples: 4, sequences: 1 } as const;
  assert.deepEqual(taskMessage(lease, 3, shape), { type: 'lease', ...ENVELOPE, ...NODE, ...shape });
});
