// `lockstep runs` as a user calls it, on runs that are written here: in a folder, in an object store, and broken in many ways.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { runLockstep, type Outcome } from '../../bench/support/run-lockstep.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import type { Folder } from '../../src/checkpoint/folder.js';
import { thisOwner } from '../../src/checkpoint/owner.js';
import { runIdentity } from '../../src/checkpoint/run-directory.js';
import { openS3 } from '../../src/checkpoint/s3-open.js';
import { recordStorage } from '../../src/checkpoint/storage-place.js';
import { acquireTerm } from '../../src/checkpoint/term.js';
import { TermsFolder } from '../../src/checkpoint/terms-folder.js';
import type { RunSummary } from '../../src/live/run-summary.js';
import { filled, flipBit, stateOf, storeIn, writeSlices } from '../checkpoint/fixture.js';
import { S3Store } from '../support/s3-store.js';

let root = '';
let s3: S3Store;

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'lockstep-runs-'));
  s3 = await S3Store.start(path.join(root, 'objects'));
  Object.assign(process.env, s3.environment);
});

after(async () => {
  await s3.close();
  await rm(root, { recursive: true, force: true });
});

const runs = (...args: string[]): Promise<Outcome> => runLockstep(['runs', ...args], { cwd: root });

async function summaries(...args: string[]): Promise<RunSummary[]> {
  const { out, code, err } = await runs('--json', ...args);
  assert.equal(code, 0, err);
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunSummary);
}

const renewal = { intervalMs: 60_000, timeoutMs: 180_000 };

/** Long enough that a busy machine's seconds do not show in an age. */
const DAY_SECONDS = 86_400;

/** Writes checkpoints of these steps, saved `ageSeconds` ago, each with a validation loss of step / 10. */
async function save(storage: Folder, steps: readonly number[], ageSeconds: number): Promise<void> {
  await runIdentity(storage);
  const spare = await mkdtemp(path.join(root, 'spare-'));
  const store = await storeIn(spare, { checkpoints: storage.at('checkpoints') });
  for (const step of steps) {
    const begun = await store.begin(step, 1);
    await writeSlices(begun, filled(step));
    await store.finish(begun, { ...stateOf(step, step / 10), savedAt: Date.now() / 1000 - ageSeconds });
  }
}

const diskRun = (...names: string[]): string => path.join(root, ...names);

async function bytesBelow(folder: Folder): Promise<number> {
  let sum = 0;
  for (const { name, bytes } of await folder.list()) sum += bytes ?? (await bytesBelow(folder.at(name)));
  return sum;
}

test('a row for each run: its step, losses, newest checkpoint, size and owner, from metrics and checkpoints', async () => {
  const place = diskRun('many');
  const trained = new DiskFolder(path.join(place, 'trained'));
  await save(trained, [20, 40], 4 * DAY_SECONDS);
  const records = [
    { kind: 'evaluated', version: 40, loss: 3.5, accuracy: 0.1, tokens: 9, seconds: 1, time: 1 },
    {
      kind: 'stepCommitted',
      version: 41,
      step: 40,
      loss: 4.25,
      seconds: 1,
      tokens: 9,
      sourceTokens: 9,
      time: 2,
    },
  ];
  const lines = records.map((record) => `${JSON.stringify(record)}\n`);
  await writeFile(path.join(trained.url, 'metrics.jsonl'), `${lines.join('')}{"kind":"stepComm`);
  await save(new DiskFolder(path.join(place, 'young')), [], 0);
  await mkdir(path.join(place, 'no-run'));
  await writeFile(path.join(place, 'a-file'), '');
  const onWarning = (message: string): void => assert.fail(message);
  const term = await acquireTerm(trained, { renewal, onWarning });
  try {
    const [first, second, ...rest] = await summaries(place);
    assert.deepEqual(rest, []);
    const { checkpoint, owner, bytes, ...others } = first!;
    assert.deepEqual(others, {
      name: 'trained',
      directory: trained.url,
      storage: path.join(trained.url, 'checkpoints'),
      step: 41,
      steps: 100,
      loss: 4.25,
      validation: { step: 40, loss: 3.5 },
      checkpoints: { whole: 2, unfinished: 0, damaged: 0 },
      problems: [],
    });
    assert.equal(bytes, await bytesBelow(trained.at('checkpoints')));
    assert.equal(checkpoint!.directory, path.join(trained.url, 'checkpoints', 'step-40'));
    assert.deepEqual([owner!.term, owner!.state, owner!.owner!.pid], [1, 'alive', process.pid]);
    assert.deepEqual([second!.name, second!.step, second!.checkpoint], ['young', null, null]);

    const { out } = await runs(place);
    const [head, row, young] = out.split('\n');
    assert.match(head!, /^run +step +loss +validation +checkpoint +size +checkpoints +owner$/);
    assert.match(
      row!,
      /^trained +41 of 100 +4\.250 +3\.500 +step-40, 4 days ago +[\d.]+ kB +2 saved +process \d+ on /,
    );
    assert.match(young!, /^young +(– +){5}none yet +–$/);
  } finally {
    await term.release();
  }
  const [released] = await summaries(trained.url);
  assert.equal(released!.owner!.state, 'released');
});

test('a run that is broken is listed with the reason, and does not keep the others from being listed', async () => {
  const place = diskRun('broken');
  for (const name of ['damaged', 'identity', 'metrics', 'pointer', 'unfinished', 'whole']) {
    await save(new DiskFolder(path.join(place, name)), [1, 2], 0);
  }
  await rm(path.join(place, 'damaged', 'checkpoints', 'step-2', 'optimizer.safetensors'));
  await writeFile(path.join(place, 'identity', 'run.json'), '{');
  await mkdir(path.join(place, 'metrics', 'metrics.jsonl')); // which can be opened and not be read
  await writeFile(path.join(place, 'pointer', 'storage.json'), '{}');
  await rm(path.join(place, 'unfinished', 'checkpoints', 'step-2', 'manifest.json'));
  const found = await summaries(place);
  assert.deepEqual(
    found.map(({ name, step, checkpoints: { whole, unfinished, damaged } }) => [
      name,
      step,
      whole,
      unfinished,
      damaged,
    ]),
    [
      ['damaged', 1, 1, 0, 1],
      ['identity', 2, 2, 0, 0],
      ['metrics', 2, 2, 0, 0],
      ['pointer', null, 0, 0, 0],
      ['unfinished', 1, 1, 1, 0],
      ['whole', 2, 2, 0, 0],
    ],
  );
  assert.deepEqual(
    found.map(({ problems }) => problems.length),
    [1, 1, 1, 1, 0, 0],
  );
  assert.equal(found[0]!.problems[0], 'step-2: optimizer.safetensors is missing');
  assert.match(found[1]!.problems[0]!, /identity\/run\.json does not hold a run's id/);
  assert.match(found[2]!.problems[0]!, /EISDIR/);
  assert.match(found[3]!.problems[0]!, /pointer\/storage\.json does not say where the run is stored/);
  const { out } = await runs(place);
  assert.match(out, /1 saved, 1 damaged .*\n {2}! step-2: optimizer\.safetensors is missing\n/);
  assert.match(out, /\nunfinished .* 1 saved, 1 unfinished /);
});

test('--verify finds a flipped bit, which a look at manifests does not, and exits with 2', async () => {
  const run = diskRun('flipped');
  await save(new DiskFolder(run), [1], 0);
  assert.equal((await runs(run, '--verify')).code, 0);
  await flipBit(path.join(run, 'checkpoints', 'step-1', 'model.safetensors'), 1);
  const [quick] = await summaries(run);
  assert.deepEqual([quick!.checkpoints.whole, quick!.problems], [1, []]);
  const { out, code } = await runs(run, '--verify');
  assert.equal(code, 2);
  assert.match(out, /! step-1: model\.safetensors has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/);
});

test('runs in an object store are listed by their URL, and by the folder of the run that is stored there', async () => {
  const stored = openS3(s3.urlOf('all/first'), { spool: diskRun('spool') });
  await save(stored, [3, 7], 5 * DAY_SECONDS);
  await new TermsFolder(stored).make();
  const elsewhere = { ...(await thisOwner()), bootId: 'another', machineId: 'another', host: 'host-2' };
  await new TermsFolder(stored).claim(1, elsewhere, renewal);
  await new TermsFolder(stored).renew(1, 42);
  const own = new DiskFolder(diskRun('local', 'first'));
  await own.make();
  const runId = randomUUID();
  await recordStorage(own, stored, runId);
  const [byUrl] = await summaries(s3.urlOf('all'));
  const [byFolder] = await summaries(diskRun('local'));
  assert.deepEqual({ ...byFolder, directory: stored.url }, byUrl);
  assert.equal(byUrl!.checkpoint!.directory, s3.urlOf('all/first/checkpoints/step-7'));
  assert.deepEqual([byUrl!.step, byUrl!.loss, byUrl!.validation], [7, null, { step: 7, loss: 0.7 }]);
  assert.deepEqual([byUrl!.owner!.state, byUrl!.owner!.renewals], ['unknown', 42]);
  const { out } = await runs(s3.urlOf('all/first'));
  assert.match(out, /step-7, 5 days ago .* process \d+ on host-2, if it lives: renewal 42$/m);
  // The run is stored in its own folder from now on.
  await recordStorage(own, own, runId);
  assert.deepEqual(await own.list(), []);
});

test('a store that cannot be reached is the reason why its run is broken', async () => {
  const own = diskRun('away', 'run');
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, 'storage.json'), JSON.stringify({ url: 's3://absent/run' }));
  const [summary] = await summaries(diskRun('away'));
  assert.match(
    summary!.problems.join(),
    /cannot read s3:\/\/absent\/run\/run\.json in the store at http:\S+: there is no such bucket/,
  );
  assert.match((await runs(diskRun('away'))).out, / broken /);
});

test('a place without a run, and a URL that is none, are refused with what was expected', async () => {
  const none = await runs();
  assert.deepEqual([none.code, none.out], [2, '']);
  assert.match(
    none.err,
    /error: there is no run in .*\/runs: expected a run, or a folder with runs directly in it/,
  );
  const wrong = await runs('s3://');
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /expected s3:\/\/BUCKET\/PREFIX/);
  const { code, err } = await runs('ftp://host/run');
  assert.equal(code, 2);
  assert.match(err, /expected s3:\/\/BUCKET\/PREFIX, got "ftp:\/\/host\/run"/);
});

test('a run is found by its name, under runs/', async () => {
  await runIdentity(new DiskFolder(diskRun('runs', 'one')));
  const [found] = await summaries('one');
  assert.equal(found!.name, 'one');
  await rm(diskRun('runs'), { recursive: true });
});

test('who asks for the status of a run by its S3 URL is told of the command that knows', async () => {
  const { code, err } = await runLockstep(['status', s3.urlOf('all/first')], { cwd: root });
  assert.equal(code, 2);
  assert.match(err, /`npx lockstep runs s3:\/\/bucket\/all\/first` shows its checkpoints/);
});

test('the listing changes nothing in what it lists', async () => {
  const run = new DiskFolder(diskRun('untouched'));
  await save(run, [1], 0);
  const names = async (): Promise<string[]> => (await run.list()).map(({ name }) => name).sort();
  const before = await names();
  await runs(run.url, '--verify');
  assert.deepEqual(await names(), before);
  assert.match(await readFile(path.join(run.url, 'run.json'), 'utf8'), /runId/);
});
