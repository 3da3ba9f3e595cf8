// Small clusters, each a function of its seed, in which processes die, stand still and come back, connections break and
// are cut one way, clocks leap, old messages return, workers compute wrongly, and coordinators are superseded: the trained
// bits are those of one undisturbed loop.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { Cluster } from './cluster.js';
import { randomScenario } from './scenario.js';
import { replayCommand, simulate } from './simulate.js';

/** A seed costs 12 ms of CPU time: on two quiet cores these take two minutes. */
const SEEDS = 20_000;

test('any run, whatever happens in it, trains the bits of an undisturbed one', async () => {
  const { failure } = await simulate({ from: 1, count: SEEDS, threads: Math.min(4, availableParallelism()) });
  assert.equal(failure, null, failure ? `${replayCommand(failure.seed)}: ${failure.message}` : '');
});

test('a seed alone decides what happens, down to the bytes on disk, whatever the time of day is', async (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const history = async (seed: number, timeOfDay: number): Promise<string[]> => {
    t.mock.timers.setTime(timeOfDay);
    const lines: string[] = [];
    const cluster = new Cluster(randomScenario(seed), (time, line) => lines.push(`${time} ${line}`));
    await cluster.run();
    const files = [...cluster.disk.files].filter(([path]) => !path.startsWith('disk/terms/'));
    return [...lines, ...files.map(([path, bytes]) => `${path} ${Buffer.from(bytes).toString('hex')}`)];
  };
  for (let seed = 1; seed <= 20; seed++) {
    const lines = await history(seed, 1000);
    assert.ok(lines.length > 20, 'something happens');
    assert.deepEqual(await history(seed, 2_000_000_000_123), lines);
  }
});
