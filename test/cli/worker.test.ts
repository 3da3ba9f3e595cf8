// What a worker says of the coordinator that it looks for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';

test('a worker whose coordinator has a name that is not known here says so, goes on looking, and says so at the end', async () => {
  const worker = new LockstepProcess(['worker', 'tcp://coordinator.invalid:7117', '--patience', '1']);
  assert.equal(await worker.exit(), 2, worker.text());
  const unknown = 'the host coordinator.invalid is not known here';
  const said = worker.lines.map(({ msg }) => msg);
  assert.ok(said[0]!.startsWith(`no coordinator yet: ${unknown}`), worker.text());
  assert.match(said[0]!, /looking for 1 s$/);
  const end = `error: no coordinator answered at tcp://coordinator.invalid:7117 for 1 s: ${unknown}`;
  assert.ok(said[1]!.startsWith(end), worker.text());
});

test('a worker that looks for a host which is not known here can be stopped', async () => {
  const worker = new LockstepProcess(['worker', 'tcp://coordinator.invalid:7117']);
  await worker.line('that it looks', ({ msg }) => msg.startsWith('no coordinator yet'));
  worker.kill('SIGTERM');
  assert.equal(await worker.exit(), 0, worker.text());
});
