// `lockstep status` and `lockstep watch`, of a run whose coordinator is killed, started again and stopped.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import type { LockstepProcess } from '../../bench/support/lockstep-process.js';
import type { LogLine } from '../../bench/support/log-lines.js';
import { runLockstep } from '../../bench/support/run-lockstep.js';
import { thisOwner } from '../../src/checkpoint/owner.js';
import { fetchView, parseTarget } from '../../src/cli/run-target.js';
import { readLastEvents } from '../../src/live/events-log.js';
import { writeNotice } from '../../src/live/notice.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { startLiveRun } from '../live/live-run.js';
import { runStarted } from '../metrics/events.js';

const isOf = (kind: string) => (line: LogLine) => line['kind'] === kind;

/** Starting versions of whole views, and the version after each event in between. */
function versions(lines: readonly LogLine[]): number[] {
  return lines.flatMap((line) =>
    ['view', 'stepCommitted'].includes(String(line['kind'])) ? Number(line['version']) : [],
  );
}

test('status and watch tell of a run that trains, was killed, goes on and was stopped', async (t) => {
  const { coordinator, url, start, restart, folder } = await startLiveRun(t, ['worker-1']);
  const ended = async (...args: string[]): Promise<LockstepProcess> => {
    const command = start(...args);
    assert.equal(await command.exit(), 0, command.text());
    return command;
  };
  const statusOf = async (target: string): Promise<LogLine> =>
    (await ended('status', target, '--json')).lines.at(-1)!;

  const byUrl = start('watch', url, '--json');
  assert.equal((await byUrl.line('a first view', () => true))['kind'], 'view');
  const byFolder = start('watch', 'shown');
  await byUrl.line('a checkpoint', isOf('checkpointWritten'));
  await byFolder.line('progress', ({ msg }) => /^watch +[\d,]+\/1,000,000 steps +loss \d/.test(msg));
  const { state, url: found, version, loss } = await statusOf(url);
  assert.deepEqual([state, found], ['running', url]);
  assert.ok(Number(version) >= 50 && (loss as { steps: number[] }).steps.length > 10);
  const shown = (await ended('status', 'shown')).text();
  for (const told of [
    /step \d+ of 1,000,000/,
    /worker-1 /,
    /It runs\. Newest checkpoint: .*step-\d+/,
    /Checkpoint of step \d+ saved/,
  ])
    assert.match(shown, told);

  coordinator.kill('SIGKILL');
  await coordinator.exit();
  for (const watch of [byUrl, byFolder])
    await watch.line('the loss of the connection', ({ msg }) =>
      /^connection lost \(.*\), trying again$/.test(msg),
    );
  const killed = await statusOf('shown');
  assert.deepEqual([killed['state'], killed['url']], ['killed', null]);
  await assert.rejects(fetchView(url), { code: 'NO_COORDINATOR', message: /no coordinator answers at http/ });
  assert.match(
    (await ended('watch', 'shown')).text(),
    /Nothing runs: its coordinator ended without saying so/,
  );

  const before = byUrl.lines.length;
  const next = restart();
  const again = await byUrl.nextLine('a view of the next coordinator', isOf('view'));
  assert.equal((again['run'] as { term: number }).term, 2);
  await byUrl.nextLine('a step', isOf('stepCommitted'));
  next.kill('SIGINT');
  assert.equal(await next.exit(), 130, next.text());
  for (const watch of [byUrl, byFolder]) assert.equal(await watch.exit(), 0, watch.text());
  assert.match(
    byFolder.text(),
    /It was stopped, and goes on with the command that began it\. Newest checkpoint: /,
  );
  for (const told of [versions(byUrl.lines.slice(0, before)), versions(byUrl.lines.slice(before))]) {
    assert.ok(told.length > 1);
    assert.deepEqual(
      told.slice(1),
      told.slice(1).map((_, i) => told[0]! + i + 1),
      'no step is missing or told twice',
    );
  }

  const stopped = await statusOf('shown');
  assert.equal(stopped['state'], 'stopped');
  assert.equal(stopped['version'], versions(byUrl.lines).at(-1));
  assert.match(String(stopped['newestCheckpoint']), new RegExp(`step-${String(stopped['version'])}$`));

  const kinds = (await readLastEvents(path.join(folder, 'runs', 'shown', 'events.jsonl'))).map(
    ({ kind }) => kind,
  );
  assert.deepEqual([kinds[0], kinds.at(-1)], ['runStarted', 'runEnded']);
  assert.equal(kinds.filter((kind) => kind === 'runStarted').length, 2);
});

test('without a run to ask about, status and watch take the one in runs/ that was started last, and say which', async (t) => {
  const folder = await temporaryDirectory(t);
  const none = await runLockstep(['status'], { cwd: folder });
  assert.equal(none.code, 2);
  assert.match(none.err, /^error: expected a run's folder, or http:.*: no run was started in .*\/runs\n$/);

  const owner = await thisOwner();
  const { kind: _, ...facts } = runStarted;
  const ended = { reason: 'stopped', detail: '', time: 9 } as const;
  for (const [i, name] of ['old', 'new', 'older'].entries()) {
    const directory = path.join(folder, 'runs', name);
    await mkdir(directory, { recursive: true });
    const run = { ...facts, run: name, startedAt: [5, 7, 3][i]! };
    await writeNotice(path.join(directory, 'coordinator.json'), { run, http: null, owner, ended });
  }
  for (const command of ['status', 'watch']) {
    const { code, out, err } = await runLockstep([command], { cwd: folder });
    assert.equal(code, 0, err);
    assert.match(err, /^runs\/new, the run that was started last:\n/);
    assert.match(out, /^new .*step 0 of 100 .*stopped\n/);
  }
});

test('what is neither a run nor a coordinator is named, with what is expected', async (t) => {
  const folder = await temporaryDirectory(t);
  const missing = {
    code: 'RUN_NOT_FOUND',
    message: /expected a run's name or folder, or http:\/\/HOST:PORT/,
  };
  await assert.rejects(parseTarget(path.join(folder, 'nothing')), missing);
  await assert.rejects(parseTarget(folder), missing);
  await assert.rejects(parseTarget('s3://bucket/run'), {
    code: 'RUN_NOT_FOUND',
    message: /lockstep runs s3:/,
  });
  assert.deepEqual(await parseTarget('http://there:1//'), { url: 'http://there:1' });
  assert.deepEqual(await parseTarget('there:9464'), { url: 'http://there:9464' });

  const server = createServer((_request, response) => response.end('{"version":1}'));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await assert.rejects(fetchView(`http://127.0.0.1:${port}`), {
    code: 'NOT_A_COORDINATOR',
    message: /answers, but not as a Lockstep coordinator: expected a run at \/api\/run, got status 200/,
  });
});
