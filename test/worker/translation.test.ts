// What the worker's state machine is told of messages, and which messages carry its decisions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { ProtocolError } from '../../src/protocol/frames.js';
import type { Job } from '../../src/protocol/job.js';
import { eventOfReducer, messageToReducer, resultMessage, taskOf } from '../../src/worker/translation.js';

const ENVELOPE = { session: 'a session', term: 3 };
const NODE = { step: 7, round: 0, level: 1, index: 1 };
const job = { microBatches: 5, objective: { kind: 'causal' } } as Job;
const grid = new ChunkGrid(30, 38, 4); // 10 chunks, 8 of them with gradients; the last has 2 elements
const slice = { url: 'tcp://h:1', firstChunk: 5, endChunk: 10 };

function refuses(body: () => void, pattern: RegExp): void {
  assert.throws(body, (error) => error instanceof ProtocolError && pattern.test(error.message));
}

test('a lease and an evaluation are tasks, of the version of the parameters that each needs', () => {
  const shape = { samples: 4, sequences: 1 } as const;
  const lease = { type: 'lease', ...ENVELOPE, ...NODE, microBatches: 2, ...shape } as const;
  assert.deepEqual(taskOf(lease, 8, job), { kind: 'node', id: 8, version: 7, node: NODE });
  const evaluate = {
    type: 'evaluate',
    ...ENVELOPE,
    version: 6,
    index: 2,
    microBatches: 1,
    ...shape,
  } as const;
  assert.deepEqual(taskOf(evaluate, 9, job), { kind: 'evaluation', id: 9, version: 6, index: 2 });
  refuses(() => taskOf({ ...lease, microBatches: 3 }, 8, job), /expected 2 micro-batches, got 3/);
});

test('parameters are of a chunk of the reducer that sends them, and as long as it', () => {
  const parameters = (chunk: number, bytes: number) =>
    eventOfReducer(
      1,
      { type: 'parameters', ...ENVELOPE, version: 6, chunk, payload: new Uint8Array(bytes) },
      slice,
      grid,
    );
  assert.deepEqual(parameters(5, 16), { type: 'parameters', reducer: 1, version: 6, chunk: 5 });
  assert.deepEqual(parameters(9, 8), { type: 'parameters', reducer: 1, version: 6, chunk: 9 });
  refuses(() => parameters(4, 16), /expected parameters of chunks 5 to 9, got 4/);
  refuses(() => parameters(10, 16), /got 10/);
  refuses(() => parameters(9, 16), /expected 8 bytes of parameter chunk 9, got 16/);
});

test('what a reducer grants and has is told with the node alone, and only of its own chunks', () => {
  const of = { ...ENVELOPE, ...NODE, payload: new Uint8Array() };
  const grant = (...chunks: number[]) => eventOfReducer(1, { type: 'grant', ...of, chunks }, slice, grid);
  assert.deepEqual(grant(5, 7), { type: 'grant', reducer: 1, node: NODE, chunks: [5, 7] });
  refuses(() => grant(5, 8), /expected a grant of chunks 5 to 7, got 8/); // has no gradient
  assert.deepEqual(eventOfReducer(1, { type: 'done', ...of }, slice, grid), {
    type: 'done',
    reducer: 1,
    node: NODE,
  });
});

test('each decision goes to a reducer in a message of the session, without what only this worker knows', () => {
  const sent = (action: Parameters<typeof messageToReducer>[0]) => messageToReducer(action, ENVELOPE);
  assert.deepEqual(sent({ type: 'pull', reducer: 1, version: 6, chunk: 5, received: 4 }), {
    type: 'pull',
    ...ENVELOPE,
    version: 6,
    chunk: 5,
    received: 4,
  });
  assert.deepEqual(sent({ type: 'received', reducer: 1, received: 9 }), {
    type: 'received',
    ...ENVELOPE,
    received: 9,
  });
  for (const type of ['offer', 'withdraw'] as const)
    assert.deepEqual(sent({ type, reducer: 1, node: NODE }), { type, ...ENVELOPE, ...NODE });
  assert.deepEqual(sent({ type: 'sendChunk', reducer: 1, node: NODE, chunk: 5, buffer: 1 }), {
    type: 'chunk',
    ...ENVELOPE,
    ...NODE,
    chunk: 5,
  });
});

test('results name the node, or the evaluation, that they are of', () => {
  const result = (task: Parameters<typeof resultMessage>[0]['task']) =>
    resultMessage({ type: 'tell', task, stats: [], seconds: 2 }, ENVELOPE);
  assert.deepEqual(result({ kind: 'node', id: 8, version: 7, node: NODE }), {
    type: 'computed',
    ...ENVELOPE,
    ...NODE,
    seconds: 2,
  });
  assert.deepEqual(result({ kind: 'evaluation', id: 9, version: 6, index: 2 }), {
    type: 'evaluated',
    ...ENVELOPE,
    version: 6,
    index: 2,
  });
});
