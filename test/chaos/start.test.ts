// Runs that cannot begin, and runs that are asked to end before they have begun: a sentence, an exit code, and a run that the
// next command can take.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import { isLease, says } from '../../bench/support/log-lines.js';
import { Stage } from './scene.js';

const stage = new Stage();
after(() => stage.remove());

test('a port in use is a sentence and exit code 2, for workers and for metrics, and no run is left behind', () =>
  stage.play(async (scene) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const taken = await scene.start('coordinator', { args: ['--bind', `tcp://127.0.0.1:${port}`] });
    assert.equal(await taken.exit(), 2, taken.text());
    assert.match(
      taken.text(),
      /error: cannot listen on tcp:\/\/127\.0\.0\.1:\d+.*; is another coordinator running\?/,
    );
    const args = ['--bind', 'tcp://127.0.0.1:*', '--http', String(port)];
    const takenByMetrics = await scene.start('coordinator', { args });
    assert.equal(await takenByMetrics.exit(), 2, takenByMetrics.text());
    assert.match(takenByMetrics.text(), /error: cannot serve metrics on .*: the port is in use/);
    const takenByWorkers = await scene.start('train', {
      args: ['--workers', '2', '--http', String(port - 2)],
    });
    assert.equal(await takenByWorkers.exit(), 2, takenByWorkers.text());
    assert.match(takenByWorkers.text(), /error: cannot serve metrics on .*: the port is in use/);
    server.close();
    const beyond = await scene.start('train', { args: ['--workers', '1', '--http', '65535'] });
    assert.equal(await beyond.exit(), 2, beyond.text());
    assert.match(beyond.text(), /error: 1 local worker would serve metrics at the port after 65535/);
    const elsewhere = await scene.start('coordinator', {
      args: ['--insecure', '--bind', 'tcp://192.0.2.1:7117'],
    });
    assert.equal(await elsewhere.exit(), 2, elsewhere.text());
    assert.match(elsewhere.text(), /cannot listen on .*; the address must be one of this machine/);
    await assert.rejects(stat(scene.directory), { code: 'ENOENT' });
  }));

test('an --address-file that cannot be written is named, and ends the coordinator with exit code 2', () =>
  stage.play(async (scene) => {
    const args = ['--bind', 'tcp://127.0.0.1:*', '--address-file', '/no/such/folder/address'];
    const run = await scene.start('coordinator', { args });
    assert.equal(await run.exit(), 2, run.text());
    assert.match(run.text(), /error: cannot write \/no\/such\/folder\/address: ENOENT/);
  }));

test('too few open files are refused at the start, by a coordinator and by a worker', () =>
  stage.play(async (scene) => {
    const within = ['sh', '-c', 'ulimit -n 100 && exec "$0" "$@"'];
    const coordinator = await scene.start('coordinator', { within });
    const worker = scene.worker('w', { within, url: 'tcp://127.0.0.1:1' });
    for (const process of [coordinator, worker]) {
      assert.equal(await process.exit(), 2, process.text());
      assert.match(
        process.text(),
        /error: expected to be allowed \d+ open files .*, got 100: raise the limit/,
      );
    }
  }));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} while a coordinator starts ends it in order`, () =>
    stage.play(async (scene) => {
      const args = ['--bind', 'tcp://127.0.0.1:*'];
      const failpoint = { point: 'when it starts', step: 0, signal } as const;
      const run = await scene.start('coordinator', { args, failpoint });
      assert.equal(await run.exit(), 130, run.text());
      assert.match(run.text(), /Stopped before the first step/);
    }));
}

test('a run that is asked to stop while no worker is there ends, and goes on later to the same bits', () =>
  stage.play(async (scene) => {
    const first = await scene.startCoordinator();
    const worker = scene.worker('a', {
      failpoint: { point: 'when it gets a lease', step: 3, signal: 'SIGKILL' },
    });
    await scene.killed(worker);
    first.kill('SIGTERM');
    assert.equal(await first.exit(), 130, first.text());
    const second = await scene.startCoordinator();
    assert.match(
      (await second.line('where it goes on', ({ msg }) => /going on from/.test(msg))).msg,
      /step 3\b/,
    );
    const other = scene.worker('b');
    await second.line('work for it', isLease(3, 'b'));
    await scene.finish();
    const { runId } = JSON.parse(await readFile(`${scene.directory}/run.json`, 'utf8')) as { runId: string };
    assert.equal(await other.exit(), 0, other.text());
    assert.ok(
      other.lines.some(says(`works for the run ${path.basename(scene.directory)} (${runId.slice(0, 8)})`)),
      other.text(),
    );
  }));

test('the wall clock jumps by a day in both directions, and nothing notices', () =>
  stage.play(async (scene) => {
    const failpoint = { point: 'when it gets a lease', step: 4, signal: 'SIGKILL' } as const;
    const env = { LOCKSTEP_TEST_CLOCK: 'jumps' };
    const coordinator = await scene.startCoordinator({ env: { ...env, NODE_OPTIONS: clockJumps() } });
    const doomed = scene.worker('a', { failpoint });
    await scene.killed(doomed);
    scene.worker('b', { env: { ...env, NODE_OPTIONS: clockJumps() } });
    await scene.finish();
    const left = coordinator.lines.filter(says('b on …')).filter(({ msg }) => msg.includes('silent'));
    assert.deepEqual(left, []);
    const days = new Set(
      coordinator.lines.flatMap(({ time }) => (typeof time === 'string' ? [time.slice(0, 10)] : [])),
    );
    assert.ok(days.size >= 3, 'the clock of the log did jump');
  }));

function clockJumps(): string {
  return `--import=${new URL('./clock-jumps.js', import.meta.url).href}`;
}
