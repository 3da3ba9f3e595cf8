// Hundreds of small clusters, each with its own seed, in which workers are killed, join, and are slow, messages of
// different links overtake each other, and the coordinator dies: the trained bits are those of one undisturbed worker.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageOf } from '../../src/util/errors.js';
import { bitsOf } from './arithmetic.js';
import { Cluster } from './cluster.js';
import { randomScenario, undisturbed, type Saved } from './scenario.js';

const FIRST_SEED = Number(process.env.LOCKSTEP_SEED ?? 1);
const SEEDS = process.env.LOCKSTEP_SEED ? 1 : 400;

function stateOf({ progress, parameters, moment1, moment2 }: Saved): unknown {
  const { version, updates, tokens } = progress;
  return { version, updates, tokens, bits: [parameters, moment1, moment2].map(bitsOf) };
}

test('any run, whatever happens in it, trains the bits of one undisturbed worker', () => {
  let duplicated = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      const scenario = randomScenario(seed);
      const reference = new Cluster(undisturbed(scenario));
      const expected = reference.run();
      const cluster = new Cluster(scenario, reference.versions);
      assert.deepEqual(stateOf(cluster.run()), stateOf(expected));
      duplicated += cluster.leasesDuplicated;
    } catch (error) {
      const message = `seed ${seed} fails (LOCKSTEP_SEED=${seed} runs it alone): ${messageOf(error)}`;
      throw new Error(message, { cause: error });
    }
  }
  if (SEEDS > 1) assert.ok(duplicated > 0, 'what stragglers hold is computed twice');
});
