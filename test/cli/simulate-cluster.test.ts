import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runLockstep } from '../../bench/support/run-lockstep.js';

test('what is being simulated is told on stderr from the first moment, and stdout has the result alone', async () => {
  const cluster = ['--workers', '2', '--parameters', '1M', '--step', '1s'];
  const { code, out, err } = await runLockstep(['--json', 'simulate-cluster', ...cluster]);
  assert.equal(code, 0, err);
  assert.match(err, /^simulate {2}0 simulations done {2}2 workers\n/);
  assert.match(out, /^\{.*\}\n$/);
  assert.equal((JSON.parse(out) as { plan: { workers: number } }).plan.workers, 2);
});
