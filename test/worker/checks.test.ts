// What a worker refuses to hear from its coordinator.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { ProtocolError } from '../../src/protocol/frames.js';
import type { Job } from '../../src/protocol/job.js';
import { checkGrant, checkReducers, checkTask, checkTokens } from '../../src/worker/checks.js';

const grid = new ChunkGrid(30, 40, 4); // 10 chunks, 8 of them with gradients
const job = { microBatches: 5, objective: { kind: 'causal' } } as Job;

function refuses(body: () => void, pattern: RegExp): void {
  assert.throws(body, (error) => error instanceof ProtocolError && pattern.test(error.message));
}

test('reducers are the whole vector in order, without gap, overlap or more', () => {
  const reducers = (...bounds: number[]) =>
    bounds.slice(1).map((endChunk, i) => ({ url: 'tcp://h:1', firstChunk: bounds[i]!, endChunk }));
  checkReducers(reducers(0, 4, 10), grid);
  refuses(() => checkReducers(reducers(0, 4), grid), /expected reducers of 10 chunks, got 4/);
  refuses(() => checkReducers(reducers(0, 4, 11), grid), /got 11/);
  refuses(() => checkReducers(reducers(1, 10), grid), /expected a reducer of chunks from 0/);
  refuses(() => checkReducers([...reducers(0, 4), ...reducers(3, 10)], grid), /from 4/);
  refuses(() => checkReducers(reducers(0, 0, 10), grid), /from 0/);
});

test('a lease is of a node of the tree, with as many micro-batches as it covers', () => {
  const lease = (level: number, index: number, microBatches: number, sequences: 1 | 2 = 1) =>
    checkTask(
      {
        type: 'lease',
        session: 's',
        term: 1,
        step: 0,
        round: 0,
        level,
        index,
        microBatches,
        samples: 1,
        sequences,
      },
      job,
    );
  lease(2, 0, 4);
  lease(2, 1, 1);
  refuses(() => lease(2, 0, 3), /expected 4 micro-batches, got 3/);
  refuses(() => lease(0, 4, 1), /not a node of the tree/); // equals 2.1
  refuses(() => lease(3, 1, 1), /not a node of the tree/);
  refuses(() => lease(40, 0, 5), /not a node of the tree/);
  refuses(() => lease(2, 0, 4, 2), /expected 1 sequences/);
});

test('tokens are of the vocabulary', () => {
  const samples = (...ids: number[]) => [[[Int32Array.from([1, 2])]], [[Int32Array.from(ids)]]];
  checkTokens(samples(0, 9), 10);
  refuses(() => checkTokens(samples(10), 10), /below 10, got 10/);
  refuses(() => checkTokens(samples(-1), 10), /got -1/);
});

test('a grant is of chunks of its reducer that have gradients', () => {
  const reducer = { url: '', firstChunk: 4, endChunk: 10 };
  checkGrant([7, 4], reducer, grid);
  for (const chunk of [3, 8, 10]) refuses(() => checkGrant([7, chunk], reducer, grid), /chunks 4 to 7/);
});
