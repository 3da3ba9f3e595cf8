// The reducer's state machine: grants, sums, the update, and what is served to those who pull.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adamWReference, adamWSpec } from '../../../src/optim/adamw.js';
import type { OptimizerConfig } from '../../../src/optim/config.js';
import { ReductionTree } from '../../../src/protocol/tree.js';
import { Random } from '../../simulation/random.js';
import { Driver, node } from './driver.js';

const CONFIG: OptimizerConfig = {
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-9,
  weightDecay: 0.5,
  clipNorm: null,
  schedule: { kind: 'constant', warmupSteps: 0 },
};
const UPDATE = adamWSpec({ update: 1, learningRate: 0.1, gradientScale: 0.25 }, CONFIG);

const ROOT = node(2, 0);

/** A reducer of `chunks` chunks that sums step 0. */
function summing(chunks: number, microBatches = 4, ...sessions: string[]): Driver {
  const reducer = new Driver({ trainable: 4 * chunks, total: 4 * chunks }, { microBatches });
  reducer.open(...sessions, 'a', 'b');
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  return reducer;
}

// ---- gradients

test('chunks are granted from the last to the first, eight of an offer at a time, as its window is', () => {
  const reducer = summing(11);
  reducer.offer('a', ROOT);
  assert.deepEqual(reducer.granted('a', ROOT), [10, 9, 8, 7, 6, 5, 4, 3]);
  reducer.chunk('a', ROOT, 6);
  assert.deepEqual(reducer.granted('a', ROOT).slice(8), [2]);
});

test('done is said when all that was granted has come, not before', () => {
  const reducer = summing(2);
  reducer.offer('a', ROOT);
  reducer.chunk('a', ROOT, 1);
  assert.ok(!reducer.isDone('a', ROOT));
  reducer.chunk('a', ROOT, 0);
  assert.ok(reducer.isDone('a', ROOT));
});

test('what is covered is not granted again, and an offer of it is done at once', () => {
  const reducer = summing(2);
  reducer.push('a', node(1, 0));
  reducer.push('a', node(1, 1));
  reducer.offer('b', node(0, 2));
  assert.deepEqual(reducer.granted('b', node(0, 2)), []);
  assert.ok(reducer.isDone('b', node(0, 2)));
});

test('micro-batches are reported when the last chunk has them, and the root after them', () => {
  const reducer = summing(2);
  reducer.offer('a', node(1, 1));
  reducer.chunk('a', node(1, 1), 1);
  assert.equal(reducer.every('covered').length, 0);
  reducer.chunk('a', node(1, 1), 0);
  assert.deepEqual(
    reducer.every('covered').map(({ leaves }) => leaves),
    [[2, 3]],
  );
  reducer.push('a', node(1, 0), 2);
  assert.deepEqual(
    reducer.others.map(({ type }) => type),
    ['covered', 'covered', 'root'],
  );
  assert.deepEqual([...reducer.every('root')[0]!.blockSums], [36, 36]);
});

test('a withdrawal is answered, and what was granted may not come any more', () => {
  const reducer = summing(2);
  reducer.offer('a', ROOT);
  reducer.say('a', { type: 'withdraw', ...ROOT });
  assert.ok(reducer.isDone('a', ROOT));
  reducer.chunk('a', ROOT, 1);
  assert.deepEqual(reducer.faults, ['a sent a chunk that was not granted']);
});

test('an offer of a step that is over is done once all that was granted has come', () => {
  const reducer = summing(2);
  reducer.offer('b', ROOT);
  reducer.push('a', ROOT);
  reducer.do({ type: 'commit', step: 0, update: null });
  assert.ok(!reducer.isDone('b', ROOT), 'its buffer is still being sent');
  reducer.chunk('b', ROOT, 1);
  reducer.chunk('b', ROOT, 0);
  assert.ok(reducer.isDone('b', ROOT));
  assert.deepEqual(reducer.faults, []);
});

test('an offer of the first computation does not count for the second, and is done', () => {
  const reducer = summing(1);
  reducer.offer('a', ROOT);
  reducer.do({ type: 'begin', step: 0, round: 1, examine: false });
  reducer.chunk('a', ROOT, 0);
  assert.ok(reducer.isDone('a', ROOT));
  assert.equal(reducer.every('covered').length, 0);
  reducer.push('a', node(2, 0, 0, 1));
  assert.equal(reducer.every('covered')[0]!.round, 1);
});

test('an offer that comes before its step begins is granted when it does', () => {
  const reducer = summing(1);
  reducer.push('a', ROOT);
  reducer.do({ type: 'commit', step: 0, update: null });
  reducer.offer('a', node(2, 0, 1));
  assert.deepEqual(reducer.granted('a', node(2, 0, 1)), []);
  reducer.do({ type: 'begin', step: 1, round: 0, examine: false });
  assert.deepEqual(reducer.granted('a', node(2, 0, 1)), [0]);
});

test('what breaks the protocol is a fault of the session', () => {
  const reducer = summing(2);
  reducer.chunk('a', ROOT, 0);
  reducer.offer('a', node(5, 5));
  reducer.offer('b', ROOT);
  reducer.say('b', { type: 'chunk', ...ROOT, chunk: 1 }, new Uint8Array(3));
  reducer.say('a', { type: 'pull', version: 0, chunk: 9, received: 0 });
  reducer.say('a', { type: 'received', received: 1 });
  for (let index = 0; index < 4; index++) reducer.offer('a', node(0, index));
  reducer.offer('a', node(1, 0));
  assert.deepEqual(reducer.faults, [
    'a sent a chunk that was not granted',
    'a offered a node that is not of the tree',
    'b sent a chunk of 3 bytes, expected 16',
    'a pulled chunk 9, which is not of this slice',
    'a acknowledged parameters that were not sent',
    'a offered too many nodes at once',
  ]);
});

test('what a worker was never leased is not granted to it, and what it was is, before or after it offers', () => {
  const reducer = summing(2);
  const offerAlone = (session: string): void => reducer.say(session, { type: 'offer', ...node(1, 0) });
  offerAlone('a');
  assert.deepEqual(reducer.granted('a', node(1, 0)), []);
  reducer.do({ type: 'lease', session: 'b', node: node(1, 0), audited: false });
  assert.deepEqual(reducer.granted('a', node(1, 0)), [], 'a lease is not for everybody');
  offerAlone('b');
  assert.deepEqual(reducer.granted('b', node(1, 0)), [1, 0]);
  reducer.do({ type: 'lease', session: 'a', node: node(1, 0), audited: false });
  assert.deepEqual(reducer.granted('a', node(1, 0)), [1, 0]);
  reducer.say('a', { type: 'chunk', ...node(1, 1), chunk: 0 });
  assert.deepEqual(reducer.faults, ['a sent a chunk that was not granted']);
});

test('a lease of one computation allows nothing in the next', () => {
  const reducer = summing(1);
  reducer.do({ type: 'lease', session: 'a', node: ROOT, audited: false });
  reducer.do({ type: 'begin', step: 0, round: 1, examine: false });
  reducer.say('a', { type: 'offer', ...node(2, 0, 0, 1) });
  assert.deepEqual(reducer.granted('a', node(2, 0, 0, 1)), []);
});

test('a session that is closed or was never opened is not heard', () => {
  const reducer = summing(1);
  reducer.offer('stranger', ROOT);
  reducer.do({ type: 'close', session: 'a' });
  reducer.offer('a', ROOT);
  assert.equal(reducer.heard.length, 0);
});

test('sums for nodes that came early stay within the budget, and yet any order ends', () => {
  const random = new Random(20);
  for (let run = 0; run < 60; run++) {
    const microBatches = random.between(24, 64);
    const reducer = summing(3, microBatches, ...Array.from({ length: microBatches }, (_, i) => `w${i}`));
    const leaves = random.shuffle([...Array(microBatches).keys()]);
    const waiting = new Map<string, { leaf: number; sent: number }>();
    let held = 0;
    for (const leaf of leaves) {
      reducer.offer(`w${leaf}`, { ...node(0, leaf), ...tree(microBatches, leaf) });
      waiting.set(`w${leaf}`, { leaf, sent: 0 });
      const granted = [...waiting].flatMap(([session, { leaf: l }]) =>
        reducer.granted(session, { ...node(0, l), ...tree(microBatches, l) }),
      );
      held = Math.max(held, granted.length);
    }
    // 4 extra sums a chunk on average, and what the leftmost uncovered micro-batch needs.
    assert.ok(held <= 4 * 3 + 3, `${held} chunks granted before any came`);
    for (let progress = true; progress;) {
      progress = false;
      for (const [session, state] of random.shuffle([...waiting])) {
        const id = { ...node(0, state.leaf), ...tree(microBatches, state.leaf) };
        const chunk = reducer.granted(session, id)[state.sent];
        if (chunk === undefined) continue;
        progress = true;
        state.sent++;
        reducer.chunk(session, id, chunk);
      }
    }
    assert.equal(reducer.every('root').length, 1, `run ${run} does not end`);
  }
});

/** The canonical node of a single micro-batch. */
function tree(microBatches: number, leaf: number): { level: number; index: number } {
  return new ReductionTree(microBatches).leaf(leaf);
}

// ---- audits

function audited(reducer: Driver, session: string, id = ROOT): void {
  reducer.do({ type: 'lease', session, node: id, audited: true });
  reducer.say(session, { type: 'offer', ...id });
}

function hashes(reducer: Driver): Record<string, string> {
  return Object.fromEntries(reducer.every('hashed').map(({ session, hash }) => [session, hash]));
}

function sendAll(reducer: Driver, session: string, value: (chunk: number) => number): void {
  for (let sent = 0; sent < reducer.granted(session, ROOT).length; sent++) {
    const chunk = reducer.granted(session, ROOT)[sent]!;
    reducer.chunk(session, ROOT, chunk, new Float32Array(4).fill(value(chunk)));
  }
}

test("of an audited node every worker's gradient is received and hashed, and only the first is summed", () => {
  const reducer = summing(3);
  audited(reducer, 'a');
  sendAll(reducer, 'a', (chunk) => chunk);
  audited(reducer, 'b');
  assert.deepEqual(reducer.granted('b', ROOT), [2, 1, 0], 'though all of it is covered');
  sendAll(reducer, 'b', (chunk) => chunk);
  const { a, b } = hashes(reducer);
  assert.match(a!, /^[0-9a-f]{64}$/);
  assert.equal(b, a);
  assert.deepEqual([...reducer.every('root')[0]!.blockSums], [0, 4, 16]);
});

test('one bit, or two chunks that changed places, make another hash; the order of arrival does not', () => {
  const reducer = summing(3, 4, 'flips', 'exchanges', 'turns');
  for (const session of ['a', 'flips', 'exchanges']) audited(reducer, session);
  sendAll(reducer, 'a', (chunk) => chunk + 1);
  sendAll(reducer, 'flips', (chunk) => (chunk === 1 ? 2.0000002 : chunk + 1));
  sendAll(reducer, 'exchanges', (chunk) => 3 - chunk);
  audited(reducer, 'turns');
  for (const chunk of [0, 2, 1]) reducer.chunk('turns', ROOT, chunk, new Float32Array(4).fill(chunk + 1));
  const { a, flips, exchanges, turns } = hashes(reducer);
  assert.equal(turns, a);
  assert.equal(new Set([a, flips, exchanges]).size, 3);
});

test('a gradient of an audited node that did not come whole has no hash', () => {
  const reducer = summing(2);
  audited(reducer, 'a');
  reducer.chunk('a', ROOT, 1);
  reducer.say('a', { type: 'withdraw', ...ROOT });
  audited(reducer, 'b');
  reducer.chunk('b', ROOT, 1);
  reducer.do({ type: 'close', session: 'b' });
  assert.deepEqual(hashes(reducer), {});
});

test('what is not audited is not hashed, and a reducer without gradients has the same hash for all', () => {
  const plain = summing(2);
  plain.push('a', ROOT);
  assert.deepEqual(hashes(plain), {});
  const reducer = new Driver({ trainable: 4, total: 12, firstChunk: 1, endChunk: 3 });
  reducer.open('a', 'b');
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  for (const session of ['a', 'b']) audited(reducer, session);
  const { a, b } = hashes(reducer);
  assert.ok(a !== undefined && a === b);
});

// ---- the update

test('a commit is AdamW with the summed gradient, with decay only where it applies', () => {
  const undecayed = [
    { start: 0, end: 1 },
    { start: 3, end: 6 }, // over a chunk's end
  ];
  const reducer = new Driver({ trainable: 10, total: 14 }, { undecayed, microBatches: 2 });
  const expected = [0, 1, 2].map(() => Float32Array.from({ length: 10 }, (_, i) => i + 1));
  const [parameters, moment1, moment2] = expected as [Float32Array, Float32Array, Float32Array];
  moment1.fill(0);
  moment2.fill(0);
  const gradient = new Float32Array(10).fill(3);
  adamWReference(parameters, moment1, moment2, gradient, Int32Array.of(0, 1, 3, 6), UPDATE);
  reducer.open('a');
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  reducer.push('a', node(0, 0), 1);
  reducer.push('a', node(0, 1), 2);
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  assert.deepEqual(reducer.options.parameters.slice(0, 10), parameters);
  assert.deepEqual([...reducer.options.parameters.slice(10)], [11, 12, 13, 14], 'the frozen tail stays');
  assert.deepEqual(reducer.options.moment1, moment1);
  assert.deepEqual(reducer.options.moment2, moment2);
});

test('a reducer touches its own slice only', () => {
  const reducer = new Driver({ trainable: 12, total: 12, firstChunk: 1, endChunk: 2 });
  reducer.open('a');
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  reducer.push('a', ROOT);
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  const changed = [...reducer.options.parameters.keys()].filter(
    (i) => reducer.options.parameters[i] !== i + 1,
  );
  assert.deepEqual(changed, [4, 5, 6, 7]);
});

test('a skip publishes the same values as the next version', () => {
  const reducer = summing(1);
  reducer.push('a', ROOT);
  reducer.do({ type: 'commit', step: 0, update: null });
  reducer.say('a', { type: 'pull', version: 1, chunk: 0, received: 0 });
  assert.equal(reducer.messages('parameters')[0]!.version, 1);
  assert.deepEqual([...reducer.heard.at(-1)!.payload], [1, 2, 3, 4]);
});

test('a reducer without trainable elements has everything from the start and is done with every offer', () => {
  const reducer = new Driver({ trainable: 4, total: 12, firstChunk: 1, endChunk: 3 });
  reducer.open('a');
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  assert.deepEqual(reducer.every('covered')[0]!.leaves, [0, 1, 2, 3]);
  assert.equal(reducer.every('root')[0]!.blockSums.length, 0);
  reducer.offer('a', ROOT);
  assert.ok(reducer.isDone('a', ROOT));
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  reducer.say('a', { type: 'pull', version: 1, chunk: 2, received: 0 });
  assert.deepEqual([...reducer.heard.at(-1)!.payload], [9, 10, 11, 12]);
});

test('parameters that are not finite are found, before gradients that are not finite because of them', () => {
  const reducer = summing(2);
  reducer.options.parameters[6] = NaN;
  reducer.do({ type: 'begin', step: 0, round: 1, examine: true });
  for (let index = 3; index >= 0; index--) reducer.push('a', node(0, index, 0, 1), NaN);
  const { nonFinite } = reducer.every('root')[0]!;
  assert.deepEqual(nonFinite, { where: 'parameters', microBatch: 0, element: 6 });
});

// ---- pulls

test('a pull of a version that is not here yet is answered by the commit', () => {
  const reducer = summing(1);
  reducer.say('a', { type: 'pull', version: 1, chunk: 0, received: 0 });
  reducer.push('b', ROOT);
  assert.equal(reducer.messages('parameters').length, 0);
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  assert.deepEqual(
    reducer.messages('parameters', 'a').map(({ version }) => version),
    [1],
  );
});

test('a pull of a version that is gone is answered with the newest', () => {
  const reducer = summing(1);
  reducer.push('b', ROOT);
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  reducer.say('a', { type: 'pull', version: 0, chunk: 0, received: 0 });
  assert.deepEqual(
    reducer.messages('parameters').map(({ version }) => version),
    [1],
  );
});

test('what was sent and not acknowledged keeps its values while versions come and go', () => {
  const reducer = summing(1);
  reducer.say('a', { type: 'pull', version: 0, chunk: 0, received: 0 });
  const sent = reducer.heard.at(-1)!.payload;
  for (let step = 0; step < 4; step++) {
    reducer.do({ type: 'begin', step, round: 0, examine: false });
    reducer.push('b', node(2, 0, step));
    reducer.do({ type: 'commit', step, update: UPDATE });
    reducer.say('b', { type: 'pull', version: step + 1, chunk: 0, received: step });
  }
  assert.deepEqual([...sent], [1, 2, 3, 4]);
});

test('a session that went away leaves its unsent copies alone', () => {
  const reducer = summing(1);
  reducer.say('a', { type: 'pull', version: 0, chunk: 0, received: 0 });
  const sent = reducer.heard.at(-1)!.payload;
  reducer.do({ type: 'close', session: 'a' });
  reducer.push('b', ROOT);
  reducer.do({ type: 'commit', step: 0, update: UPDATE });
  reducer.do({ type: 'begin', step: 1, round: 0, examine: false });
  for (let index = 3; index >= 0; index--) reducer.push('b', node(0, index, 1)); // many buffers at once
  assert.deepEqual([...sent], [1, 2, 3, 4]);
});
