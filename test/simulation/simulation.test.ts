// Small clusters, each a function of its seed, in which processes die, stand still and come back, connections break and
// are cut one way, clocks leap, and old messages return: the trained bits are those of one undisturbed loop.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { Cluster } from './cluster.js';
import { randomScenario } from './scenario.js';
import { replayCommand, simulate } from './simulate.js';

/** A seed costs 7 ms of CPU time on a quiet machine: on two cores these take a little more than a minute. */
const SEEDS = 20_000;

test('any run, whatever happens in it, trains the bits of an undisturbed one', async () => {
  const { failure } = await simulate({ from: 1, count: SEEDS, threads: Math.min(4, availableParallelism()) });
  assert.equal(failure, null, failure ? `${replayCommand(failure.seed)}: ${failure.message}` : '');
});

test('a seed alone decides what happens', async () => {
  const trace = async (): Promise<string[]> => {
    const lines: string[] = [];
    await new Cluster(randomScenario(7), (time, line) => lines.push(`${time} ${line}`)).run();
    return lines;
  };
  const lines = await trace();
  assert.ok(lines.length > 100, 'something happens');
  assert.deepEqual(await trace(), lines);
});
