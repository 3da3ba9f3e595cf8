// The worker's state machine: what it pulls, computes, offers, sends, and what it gives up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeId } from '../../src/protocol/node-id.js';
import type { Task, WorkerAction, WorkerEvent } from '../../src/worker/events.js';
import { WorkerMachine } from '../../src/worker/worker.js';

/** Two reducers: chunks 0-1 and 2-4. */
/** Chunks asked of each reducer at once. */
const WINDOW = 8;
const TARGETS = [
  { firstChunk: 0, endChunk: 2 },
  { firstChunk: 2, endChunk: 5 },
];
const STATS = [{ loss: 1, tokens: 1, correct: 0, sourceTokens: 1 }];

const nodeOf = (step: number, index: number, round = 0): NodeId => ({ step, round, level: 0, index });

class Driver {
  readonly machine = new WorkerMachine(TARGETS, WINDOW);
  private readonly tasks = new Map<number, Task>();
  private nextId = 1;

  say(event: WorkerEvent): WorkerAction[] {
    return this.machine.handle(event, 0);
  }

  /** A lease arrives and its batches are built at once. */
  lease(node: NodeId): { id: number; actions: WorkerAction[] } {
    return this.take({ kind: 'node', id: this.nextId++, version: node.step, node });
  }

  evaluate(version: number, index: number): { id: number; actions: WorkerAction[] } {
    return this.take({ kind: 'evaluation', id: this.nextId++, version, index });
  }

  /** All of a version's parameters arrive. */
  pulled(version: number): WorkerAction[] {
    const actions: WorkerAction[] = [];
    TARGETS.forEach(({ firstChunk, endChunk }, reducer) => {
      for (let chunk = firstChunk; chunk < endChunk; chunk++) {
        actions.push(...this.say({ type: 'parameters', reducer, version, chunk }));
      }
    });
    return actions;
  }

  /** All chunks get ready, and the computation ends. */
  computed(id: number): WorkerAction[] {
    const chunks = [4, 3, 2, 1, 0].flatMap((chunk) => this.say({ type: 'chunkReady', id, chunk }));
    return [...chunks, ...this.say({ type: 'computed', id, stats: STATS, seconds: 1 })];
  }

  done(node: NodeId, ...reducers: readonly number[]): WorkerAction[] {
    return reducers.flatMap((reducer) => this.say({ type: 'done', reducer, node }));
  }

  private take(task: Task): { id: number; actions: WorkerAction[] } {
    this.tasks.set(task.id, task);
    const actions = [...this.say({ type: 'lease', task }), ...this.say({ type: 'prepared', id: task.id })];
    return { id: task.id, actions };
  }
}

/** A worker that has pulled version 0 and computes the first of the given leases. */
function computing(...indices: readonly number[]): { worker: Driver; ids: number[] } {
  const worker = new Driver();
  const ids = indices.map((index) => worker.lease(nodeOf(0, index)).id);
  worker.pulled(0);
  return { worker, ids };
}

function ofType<T extends WorkerAction['type']>(actions: readonly WorkerAction[], type: T) {
  return actions.filter((action): action is WorkerAction & { type: T } => action.type === type);
}

// ---- parameters

test('a lease of a version that is not here pulls every chunk of it, and then computes', () => {
  const worker = new Driver();
  const { actions } = worker.lease(nodeOf(3, 0));
  assert.deepEqual(
    ofType(actions, 'pull').map(({ reducer, chunk, version }) => [reducer, chunk, version]),
    [
      [0, 0, 3],
      [0, 1, 3],
      [1, 2, 3],
      [1, 3, 3],
      [1, 4, 3],
    ],
  );
  const after = worker.pulled(3);
  assert.equal(ofType(after, 'store').length, 5);
  assert.equal(ofType(after, 'compute').length, 1);
  const acknowledged = ofType(after, 'received').map(({ reducer, received }) => [reducer, received]);
  assert.deepEqual(acknowledged.slice(-1), [[1, 3]], 'what no further pull acknowledges is acknowledged');
});

test('no more than eight chunks are asked of a reducer at once, and each answer asks for another', () => {
  const machine = new WorkerMachine([{ firstChunk: 0, endChunk: 20 }], WINDOW);
  const task: Task = { kind: 'node', id: 1, version: 0, node: nodeOf(0, 0) };
  const asked = ofType(machine.handle({ type: 'lease', task }, 0), 'pull').length;
  assert.equal(asked, 8);
  const next = machine.handle({ type: 'parameters', reducer: 0, version: 0, chunk: 0 }, 0);
  assert.deepEqual(
    ofType(next, 'pull').map(({ chunk, received }) => [chunk, received]),
    [[8, 1]],
  );
});

test('a chunk of a newer version restarts the pull, and older ones are dropped', () => {
  const worker = new Driver();
  worker.lease(nodeOf(3, 0));
  worker.say({ type: 'parameters', reducer: 0, version: 3, chunk: 0 });
  const restart = worker.say({ type: 'parameters', reducer: 1, version: 4, chunk: 2 });
  assert.deepEqual(
    ofType(restart, 'pull').map(({ version }) => version),
    [4, 4, 4, 4, 4],
  );
  assert.equal(ofType(restart, 'store').length, 1);
  const stale = worker.say({ type: 'parameters', reducer: 0, version: 3, chunk: 1 });
  assert.equal(ofType(stale, 'store').length, 0);
  const rest = [
    ...worker.say({ type: 'parameters', reducer: 0, version: 4, chunk: 0 }),
    ...worker.say({ type: 'parameters', reducer: 0, version: 4, chunk: 1 }),
    ...worker.say({ type: 'parameters', reducer: 1, version: 4, chunk: 3 }),
    ...worker.say({ type: 'parameters', reducer: 1, version: 4, chunk: 4 }),
  ];
  assert.deepEqual(
    ofType(rest, 'pulled').map(({ version }) => version),
    [4],
  );
  assert.equal(ofType(rest, 'compute').length, 0, 'the lease is of version 3');
  assert.equal(ofType(rest, 'drop').length, 1);
});

test('a chunk that comes twice is stored once', () => {
  const worker = new Driver();
  worker.lease(nodeOf(0, 0));
  worker.say({ type: 'parameters', reducer: 0, version: 0, chunk: 0 });
  const again = worker.say({ type: 'parameters', reducer: 0, version: 0, chunk: 0 });
  assert.equal(ofType(again, 'store').length, 0);
});

test('parameters that are computed with are never overwritten', () => {
  const { worker, ids } = computing(0);
  const toVersion1 = worker.lease(nodeOf(1, 0));
  const slots = new Set(ofType(worker.pulled(1), 'store').map(({ slot }) => slot));
  assert.ok(toVersion1.actions.some(({ type }) => type === 'cancel'));
  assert.equal(slots.size, 1);
  // Version 2 would go into the buffer that the cancelled computation of version 0 still reads.
  const waiting = worker.lease(nodeOf(2, 0));
  assert.equal(ofType(waiting.actions, 'pull').length, 0);
  const ended = worker.say({ type: 'cancelled', id: ids[0]! });
  assert.equal(ofType(ended, 'pull').length, 5);
});

// ---- gradients

test('the first final chunk makes the offer, and a chunk leaves when it is final and granted', () => {
  const { worker, ids } = computing(0);
  const [id] = ids as [number];
  const node = nodeOf(0, 0);
  const offers = worker.say({ type: 'chunkReady', id, chunk: 4 });
  assert.deepEqual(
    ofType(offers, 'offer').map(({ reducer }) => reducer),
    [0, 1],
  );
  const granted = worker.say({ type: 'grant', reducer: 1, node, chunks: [4, 3] });
  assert.deepEqual(
    ofType(granted, 'sendChunk').map(({ chunk }) => chunk),
    [4],
  );
  const ready = worker.say({ type: 'chunkReady', id, chunk: 3 });
  assert.deepEqual(
    ofType(ready, 'sendChunk').map(({ reducer, chunk }) => [reducer, chunk]),
    [[1, 3]],
  );
  assert.equal(ofType(worker.say({ type: 'chunkReady', id, chunk: 2 }), 'sendChunk').length, 0);
});

test('a third node waits until all reducers are done with one of the first two', () => {
  const { worker, ids } = computing(0, 1);
  worker.computed(ids[0]!);
  worker.lease(nodeOf(0, 2));
  worker.computed(ids[1]!);
  assert.equal(ofType(worker.done(nodeOf(0, 0), 0), 'compute').length, 0);
  assert.deepEqual(
    ofType(worker.done(nodeOf(0, 0), 1), 'compute').map(({ buffer }) => buffer),
    [0],
  );
});

test('a buffer whose chunks were recalled is used again only after every reducer has answered', () => {
  const { worker, ids } = computing(0, 1);
  worker.computed(ids[0]!);
  worker.say({ type: 'grant', reducer: 0, node: nodeOf(0, 0), chunks: [0] });
  const recalled = worker.say({ type: 'recall', node: nodeOf(0, 0) });
  assert.deepEqual(
    ofType(recalled, 'withdraw').map(({ reducer }) => reducer),
    [0, 1],
  );
  worker.computed(ids[1]!);
  const third = worker.lease(nodeOf(0, 2));
  assert.equal(ofType(third.actions, 'compute').length, 0);
  assert.equal(ofType(worker.done(nodeOf(0, 0), 1), 'compute').length, 0);
  assert.equal(ofType(worker.done(nodeOf(0, 0), 0), 'compute').length, 1);
});

test('nothing more of a withdrawn node is sent, even if it is granted', () => {
  const { worker, ids } = computing(0);
  worker.computed(ids[0]!);
  worker.say({ type: 'recall', node: nodeOf(0, 0) });
  const late = worker.say({ type: 'grant', reducer: 0, node: nodeOf(0, 0), chunks: [0, 1] });
  assert.equal(late.length, 0);
});

test('a node that is leased again waits for the answers to its withdrawal', () => {
  const { worker, ids } = computing(0);
  worker.computed(ids[0]!);
  worker.say({ type: 'recall', node: nodeOf(0, 0) });
  assert.equal(ofType(worker.lease(nodeOf(0, 0)).actions, 'compute').length, 0);
  assert.equal(ofType(worker.done(nodeOf(0, 0), 0, 1), 'compute').length, 1);
});

test('a cancelled computation keeps its buffer until it has ended', () => {
  const { worker, ids } = computing(0, 1);
  const recalled = worker.say({ type: 'recall', node: nodeOf(0, 0) });
  assert.deepEqual(
    ofType(recalled, 'cancel').map(({ id }) => id),
    [ids[0]],
  );
  assert.equal(ofType(worker.say({ type: 'chunkReady', id: ids[0]!, chunk: 4 }), 'offer').length, 0);
  assert.equal(ofType(worker.say({ type: 'cancelled', id: ids[0]! }), 'compute').length, 1);
});

// ---- leases

test('losses are told when a node is computed, also when all reducers had it before', () => {
  const { worker, ids } = computing(0);
  worker.say({ type: 'chunkReady', id: ids[0]!, chunk: 4 });
  assert.equal(ofType(worker.done(nodeOf(0, 0), 0, 1), 'cancel').length, 0);
  const ended = worker.say({ type: 'computed', id: ids[0]!, stats: STATS, seconds: 1 });
  assert.deepEqual(
    ofType(ended, 'tell').map(({ task }) => task.id),
    [ids[0]],
  );
});

test('a lease of a second computation ends the first one', () => {
  const { worker, ids } = computing(0, 1, 2);
  worker.computed(ids[0]!);
  const { actions } = worker.lease(nodeOf(0, 0, 1));
  assert.deepEqual(
    ofType(actions, 'cancel').map(({ id }) => id),
    [ids[1]],
  );
  assert.deepEqual(
    ofType(actions, 'drop').map(({ id }) => id),
    [ids[2]],
  );
  assert.deepEqual(
    ofType(actions, 'withdraw').map(({ node }) => node.index),
    [0, 0],
  );
});

test('a recalled node that waits is dropped', () => {
  const { worker, ids } = computing(0, 1);
  const actions = worker.say({ type: 'recall', node: nodeOf(0, 1) });
  assert.deepEqual(
    ofType(actions, 'drop').map(({ id }) => id),
    [ids[1]],
  );
});

test('an evaluation is told, uses no gradient buffer, and is void once its version is trained on', () => {
  const { worker, ids } = computing(0);
  worker.computed(ids[0]!);
  worker.done(nodeOf(0, 0), 0, 1);
  const first = worker.evaluate(1, 0);
  const second = worker.evaluate(1, 1);
  worker.pulled(1);
  const told = worker.say({ type: 'computed', id: first.id, stats: STATS, seconds: 1 });
  assert.equal(ofType(told, 'tell').length, 1);
  const { actions } = worker.lease(nodeOf(1, 0));
  assert.deepEqual(
    ofType(actions, 'cancel').map(({ id }) => id),
    [second.id],
  );
});

test('an answer for a computation that is not running changes nothing', () => {
  const { worker } = computing(0);
  assert.deepEqual(worker.say({ type: 'computed', id: 99, stats: STATS, seconds: 1 }), []);
  assert.deepEqual(worker.say({ type: 'cancelled', id: 99 }), []);
  assert.deepEqual(worker.say({ type: 'chunkReady', id: 99, chunk: 0 }), []);
  assert.deepEqual(worker.say({ type: 'grant', reducer: 0, node: nodeOf(7, 7), chunks: [0] }), []);
  assert.deepEqual(worker.done(nodeOf(7, 7), 0, 1), []);
});

test('time is counted for the first of computing, pulling and pushing that goes on', () => {
  const machine = new WorkerMachine(TARGETS, WINDOW);
  const task: Task = { kind: 'node', id: 1, version: 0, node: nodeOf(0, 0) };
  machine.handle({ type: 'lease', task }, 1000);
  machine.handle({ type: 'prepared', id: 1 }, 3000);
  const phases = machine.phasesUntil(4000);
  assert.deepEqual(phases, { compute: 0, push: 0, pull: 3, idle: 0 });
});
