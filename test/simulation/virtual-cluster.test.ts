// Simulated steps against what can be computed by hand: where nothing costs anything, where one network is the limit, and where
// work cannot be dealt out evenly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../src/simulation/explain.js';
import type { ClusterPlan, Costs } from '../../src/simulation/plan.js';
import { VirtualCluster } from '../../src/simulation/virtual-cluster.js';

const FREE: Costs = {
  ioBytesPerSecond: Infinity,
  addedPerSecond: Infinity,
  updatedPerSecond: Infinity,
  messageMs: 0,
};
const PARAMETERS = 60e6;
/** Bytes of the last chunk on the wire, which leaves when everything is computed; of 60 million elements, 1 Mi each. */
const LAST_CHUNK_BYTES = 4 * 2 ** 20;

function plan(changed: Partial<ClusterPlan> = {}): ClusterPlan {
  return {
    workers: 1,
    workersPerHost: 1,
    parameters: PARAMETERS,
    microBatches: 1,
    microBatchMs: 1000,
    reducers: 1,
    wire: 'float32',
    coordinatorBytesPerSecond: Infinity,
    workerBytesPerSecond: Infinity,
    latencyMs: 0,
    cores: Infinity,
    costs: FREE,
    ...changed,
  };
}

function stepMs(changed: Partial<ClusterPlan>): number {
  return new VirtualCluster(plan(changed)).settled().stepMs;
}

function assertNear(actual: number, expected: number, part: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= part, `${actual} ms, expected ${expected} ms`);
}

test('with nothing else in its way a step takes what its micro-batches take', () => {
  assertNear(stepMs({}), 1000, 1e-9);
  assertNear(stepMs({ microBatches: 8 }), 8000, 1e-9);
  assertNear(stepMs({ workers: 8, microBatches: 8 }), 1000, 1e-9);
});

test('one worker pulls all parameters, computes, and sends what its backward has left to send', () => {
  const bandwidth = 1.25e9;
  const pullMs = (4000 * PARAMETERS) / bandwidth;
  const lastMs = (1000 * LAST_CHUNK_BYTES) / bandwidth;
  assertNear(stepMs({ coordinatorBytesPerSecond: bandwidth }), pullMs + 1000 + lastMs, 0.002);
  // Slower than the backward: then the gradient takes its own time, from the first chunk on.
  const slow = 0.125e9;
  const first = 1000 / 3 + (1000 * 2) / 3 / 58;
  const pushMs = (4000 * PARAMETERS) / slow;
  assertNear(stepMs({ coordinatorBytesPerSecond: slow }), (4000 * PARAMETERS) / slow + first + pushMs, 0.01);
});

/** Of a micro-batch of a second; the backward's two thirds overlap with sending. */
const FORWARD_MS = 1000 / 3;

test('many workers share the network of the coordinator, once for the parameters and once for the gradients', () => {
  const network = { coordinatorBytesPerSecond: 1.25e9, workerBytesPerSecond: 1.25e9 };
  for (const workers of [16, 64]) {
    const eachMs = (4000 * PARAMETERS * workers) / 1.25e9;
    const cluster = { workers, microBatches: workers, ...network };
    assertNear(stepMs(cluster), 2 * eachMs + FORWARD_MS, 0.02);
    // Parameters travel in float32 all the same.
    assertNear(stepMs({ ...cluster, wire: 'bfloat16' }), 1.5 * eachMs + FORWARD_MS, 0.02);
    assertNear(stepMs({ ...cluster, reducers: 4 }), 2 * eachMs + FORWARD_MS, 0.02);
  }
});

test('computing hides what the network takes for gradients, but not what it takes for parameters', () => {
  const cluster = { workers: 4, microBatches: 16, microBatchMs: 2000, coordinatorBytesPerSecond: 1.25e9 };
  const pullMs = (4000 * PARAMETERS * 4) / 1.25e9;
  assertNear(stepMs(cluster), pullMs + 8000, 0.03);
});

test('more reducers share the adding', () => {
  const costs = { ...FREE, addedPerSecond: 100e6 };
  const cluster = { workers: 16, microBatches: 16, costs };
  const addingMs = (1000 * PARAMETERS * 16) / 100e6;
  assertNear(stepMs(cluster), addingMs + FORWARD_MS, 0.01);
  // The one that has the first parameters begins last: a backward ends with them.
  const lastBeginsMs = 1000 * (1 - 2 / 3 / 4);
  assertNear(stepMs({ ...cluster, reducers: 4 }), lastBeginsMs + addingMs / 4, 0.03);
});

test('the limit that costs most is named', () => {
  assert.equal(explain(plan({ workers: 4, microBatches: 4 })).bottleneck, 'compute');
  assert.equal(explain(plan({ workers: 4, microBatches: 5 })).bottleneck, 'granularity');
  const network = { workers: 8, microBatches: 8, coordinatorBytesPerSecond: 0.1e9 };
  assert.equal(explain(plan(network)).bottleneck, 'coordinator network');
  const slowReducer = { ...FREE, addedPerSecond: 50e6 };
  assert.equal(explain(plan({ workers: 8, microBatches: 8, costs: slowReducer })).bottleneck, 'reducer CPU');
  assert.equal(explain(plan({ latencyMs: 200, coordinatorBytesPerSecond: 1.25e9 })).bottleneck, 'latency');
});

test('what settings would do to a part of a large cluster is what they do to all of it', () => {
  const network = {
    workers: 128,
    microBatches: 128,
    coordinatorBytesPerSecond: 1.25e9,
    workerBytesPerSecond: 1.25e9,
  };
  const { measured, partWorkers, settings } = explain(plan(network));
  assert.equal(partWorkers, 100);
  const ratio = (name: string): number =>
    settings.find((setting) => setting.name === name)!.stepMs / measured.stepMs;
  assertNear(ratio('reducers: 4'), 1, 0.01);
  assertNear(ratio('wire: bfloat16'), 3 / 4, 0.01);
});

test('a gradient that waits for its turn is not computed again', () => {
  const network = { coordinatorBytesPerSecond: 1.25e9, workerBytesPerSecond: 1.25e9 };
  const cluster = new VirtualCluster(plan({ workers: 128, microBatches: 128, ...network }));
  cluster.train(2);
  assert.equal(cluster.train(1).duplicates, 0);
});
