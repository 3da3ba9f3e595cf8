// A worker's session without sockets and threads: what it says when, and how it ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { ProtocolError } from '../../src/protocol/frames.js';
import type { CoordinatorToWorker, ReducerToWorker } from '../../src/protocol/messages.js';
import { BARE, ENGINE, PROBE } from '../../src/simulation/bare-worker.js';
import { nominalJob } from '../../src/simulation/nominal-job.js';
import { Conversation, type Surroundings } from '../../src/worker/conversation.js';

const ENVELOPE = { session: 'the session', term: 3 };
const HEARTBEAT = { intervalMs: 100, timeoutMs: 1000 };
const NOTHING = new Uint8Array();
const welcome: CoordinatorToWorker = {
  type: 'welcome',
  ...ENVELOPE,
  run: 'a run',
  runId: '0'.repeat(64),
  job: nominalJob({ microBatches: 2, wire: 'float32', heartbeat: HEARTBEAT }),
  reducers: [
    { url: 'tcp://h:1', firstChunk: 0, endChunk: 5 },
    { url: 'tcp://h:2', firstChunk: 5, endChunk: 10 },
  ],
};

/** A conversation that has been welcomed, and a note of all that it says and asks for. */
function welcomed() {
  const notes: string[] = [];
  const clock = { now: 0 };
  const around: Surroundings = {
    ...BARE,
    now: () => clock.now,
    tell: ({ type }) => notes.push(type),
    connect: (reducer) => notes.push(`connect ${reducer}`),
    send: (reducer, { type }) => notes.push(`${type} ${reducer}`),
    begin: () => new ChunkGrid(30, 40, 4),
    prepare: (task) => notes.push(`prepare ${task.id}`),
    compute: (task) => notes.push(`compute ${task.id}`),
    cancel: (id) => notes.push(`cancel ${id}`),
    store: () => undefined,
    chunkOf: () => NOTHING,
    ended: (outcome, reason) => notes.push(`${outcome}: ${reason}`),
  };
  const conversation = new Conversation(around);
  const hear = (message: CoordinatorToWorker): void => conversation.hear({ ...message, payload: NOTHING });
  const hearReducer = (reducer: number, message: ReducerToWorker): void =>
    conversation.hearReducer(reducer, { ...message, payload: NOTHING });
  hear(welcome);
  const said = (): string[] => notes.splice(0);
  return { conversation, hear, hearReducer, clock, said };
}

test('a welcomed worker is ready once every reducer has answered and its engine computes', () => {
  const { conversation, hearReducer, said } = welcomed();
  assert.deepEqual(said(), ['connect 0', 'attach 0', 'connect 1', 'attach 1']);
  hearReducer(1, { type: 'attached', ...ENVELOPE });
  conversation.computeReady(ENGINE, PROBE);
  assert.deepEqual(said(), []);
  hearReducer(0, { type: 'attached', ...ENVELOPE });
  assert.deepEqual(said(), ['ready']);
});

test('a worker that is asked to stop says so, ends as stopped, and hears nothing more', () => {
  const { conversation, hear, said } = welcomed();
  said();
  conversation.leave();
  hear({ type: 'bye', reason: 'too late', outcome: 'lost' });
  conversation.lost('its connection ended');
  assert.deepEqual(said(), ['leave', 'stopped: the worker was asked to stop']);
});

test('heartbeats go on while the coordinator is heard; its silence ends the session as lost', () => {
  const { conversation, hear, clock, said } = welcomed();
  said();
  while (clock.now < 2000) {
    clock.now += HEARTBEAT.intervalMs;
    conversation.tick();
    if (clock.now === 900) hear({ type: 'heartbeat', ...ENVELOPE, sequence: 1, echo: 0 });
  }
  const beats = Array<string>(19).fill('heartbeat');
  assert.deepEqual(said(), [...beats, 'lost: the coordinator was silent for 1000 ms']);
});

test('a message of another session or term breaks the protocol', () => {
  const { hear, hearReducer } = welcomed();
  const other = { ...ENVELOPE, term: 4 };
  assert.throws(() => hear({ type: 'heartbeat', ...other, sequence: 1, echo: 0 }), ProtocolError);
  assert.throws(() => hearReducer(0, { type: 'attached', ...other }), ProtocolError);
});
