import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { TrainingEvent } from '../../src/metrics/events.js';
import { MetricsLog, metricsRecords, type MetricsRecord } from '../../src/metrics/metrics-log.js';
import { withoutRoot } from '../support/root.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { committed, evaluated, everyKind, skipped } from './events.js';

async function recordsOf(file: string): Promise<MetricsRecord[]> {
  const records: MetricsRecord[] = [];
  for await (const record of metricsRecords(file)) records.push(record);
  return records;
}

async function write(file: string, version: number, events: readonly TrainingEvent[]): Promise<void> {
  const log = await MetricsLog.open(file, version, () => 7);
  for (const event of events) log.on(event);
  await log.close();
}

/** Kind and version (or step, of a checkpoint) of each record. */
async function summary(file: string): Promise<string[]> {
  return (await recordsOf(file)).map((record) =>
    record.kind === 'checkpointWritten' ? `checkpoint ${record.step}` : `${record.kind} ${record.version}`,
  );
}

function written(step: number): TrainingEvent {
  return { kind: 'checkpointWritten', step, directory: `step-${step}`, seconds: 1, bytes: 1 };
}

test('steps, evaluations and checkpoints are recorded in order, one JSON object a line, and nothing else', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  await write(file, 0, everyKind);
  assert.deepEqual(await summary(file), ['stepCommitted 1', 'stepSkipped 2', 'evaluated 2', 'checkpoint 2']);
  const lines = (await readFile(file, 'utf8')).split('\n');
  assert.equal(lines.length, 5);
  assert.deepEqual(JSON.parse(lines[0]!), { ...committed(0), time: 7 });
});

test('a resumed run has each step once: what came after the checkpoint is cut off', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  await write(file, 0, [committed(0), committed(1), evaluated(2), committed(2), written(2), skipped(3)]);
  await write(file, 2, [committed(2), committed(3)]);
  const expected = [
    'stepCommitted 1',
    'stepCommitted 2',
    'evaluated 2',
    'checkpoint 2',
    'stepCommitted 3',
    'stepCommitted 4',
  ];
  assert.deepEqual(await summary(file), expected);
  await write(file, 4, []);
  assert.deepEqual(await summary(file), expected);
  await write(file, 0, []);
  assert.deepEqual(await summary(file), []);
});

test('a last line that a crash cut off is not read, and is removed on resume', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  await write(file, 0, [committed(0), committed(1)]);
  const whole = await readFile(file, 'utf8');
  for (const length of [1, 30, whole.length - whole.indexOf('\n') - 2]) {
    await writeFile(file, whole.slice(0, whole.indexOf('\n') + 1 + length));
    assert.deepEqual(await summary(file), ['stepCommitted 1']);
    await write(file, 2, [committed(1)]);
    assert.deepEqual(await summary(file), ['stepCommitted 1', 'stepCommitted 2']);
    assert.equal(await readFile(file, 'utf8'), whole);
  }
});

test('lines that are no records are dropped on resume', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  await write(file, 0, [committed(0)]);
  await appendFile(file, '\0\0\0\0\nnull\n{"no":"kind"}\n');
  await appendFile(file, `${JSON.stringify({ ...committed(1), time: 7 })}\n`);
  await write(file, 9, []);
  assert.deepEqual(await summary(file), ['stepCommitted 1', 'stepCommitted 2']);
  assert.equal((await readFile(file, 'utf8')).split('\n').length, 3);
});

test('a log longer than one read of the file is cut in the right place', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  const count = 2000;
  await write(
    file,
    0,
    Array.from({ length: count }, (_, step) => committed(step)),
  );
  await write(file, count - 3, []);
  const steps = await summary(file);
  assert.equal(steps.length, count - 3);
  assert.equal(steps.at(-1), `stepCommitted ${count - 3}`);
});

test('after a flush the records so far are in the file', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  const log = await MetricsLog.open(file, 0);
  for (let step = 0; step < 100; step++) log.on(committed(step));
  await log.flush();
  assert.equal((await recordsOf(file)).length, 100);
  await log.close();
});

test('a loss that is not finite is recorded as null', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'metrics.jsonl');
  await write(file, 0, [{ ...committed(0), loss: NaN, gradientNorm: Infinity }]);
  const [record] = await recordsOf(file);
  assert.ok(record?.kind === 'stepCommitted');
  assert.deepEqual([record.loss, record.gradientNorm], [null, null]);
});

test(
  'what a full disk refuses is kept, and written in order once there is room',
  { skip: withoutRoot('to mount a small disk') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const disk = path.join(directory, 'disk');
    await mkdir(disk);
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'lockstep-test', disk]);
    try {
      const file = path.join(disk, 'metrics.jsonl');
      const log = await MetricsLog.open(file, 0, () => 7);
      log.on(committed(0));
      await log.flush();
      const room = path.join(disk, 'room');
      await writeFile(room, new Uint8Array(12 * 1024)); // a page is left, of which a part is taken
      const steps = 40;
      for (let step = 1; step < steps; step++) log.on(committed(step));
      await assert.rejects(log.flush(), { code: 'ENOSPC' });
      log.on(committed(steps));
      await assert.rejects(log.flush(), { code: 'ENOSPC' });
      await rm(room);
      await log.close();
      assert.deepEqual(
        await summary(file),
        Array.from({ length: steps + 1 }, (_, step) => `stepCommitted ${step + 1}`),
      );
    } finally {
      await promisify(execFile)('umount', [disk]);
    }
  },
);
