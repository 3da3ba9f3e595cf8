// events.jsonl: what is appended is read back, whatever a crash or the disk did to it.
import assert from 'node:assert/strict';
import { appendFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { EventsLog, readLastEvents } from '../../src/live/events-log.js';
import type { RunEvent } from '../../src/live/run-view.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

function event(time: number): RunEvent {
  return { time, kind: 'workerLeft', level: 'warn', text: `worker-${time} « ä was lost` };
}

const unexpected = (message: string): never => assert.fail(message);

async function append(file: string, events: readonly RunEvent[]): Promise<void> {
  const log = await EventsLog.open(file, unexpected);
  for (const each of events) log.on(each);
  await log.close();
}

test('events of several coordinators are read back in their order, without what a crash cut off', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'events.jsonl');
  assert.deepEqual(await readLastEvents(file), []);
  await append(file, [event(1), event(2)]);
  assert.deepEqual(await readLastEvents(file), [event(1), event(2)]);
  await appendFile(file, JSON.stringify(event(3)).slice(0, 40));
  assert.deepEqual(await readLastEvents(file), [event(1), event(2)]);
  await append(file, [event(4), event(5)]);
  assert.deepEqual(await readLastEvents(file), [event(1), event(2), event(4), event(5)]);
});

test('of a long file only the end is read, in whole lines', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'events.jsonl');
  const events = Array.from({ length: 3000 }, (_, i) => event(i));
  await append(file, events);
  const read = await readLastEvents(file);
  assert.ok(read.length > 100 && read.length < 1000, `${read.length}`);
  assert.deepEqual(read, events.slice(-read.length));
});

test('a file of something else has no events', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'events.jsonl');
  await writeFile(file, 'null\n[]\n{"text":1}\n\u0000\n');
  assert.deepEqual(await readLastEvents(file), []);
});

test('where it cannot be written that is told once, and closing still settles', async (t) => {
  const folder = await temporaryDirectory(t);
  const files = [
    path.join(folder, 'missing', 'events.jsonl'),
    ...(existsSync('/dev/full') ? ['/dev/full'] : []),
  ];
  for (const file of files) {
    const told: string[] = [];
    const log = await EventsLog.open(file, (message) => void told.push(message));
    for (let i = 0; i < 100; i++) log.on(event(i));
    await log.close();
    log.on(event(101));
    await log.close();
    assert.equal(told.length, 1, file);
    assert.match(told[0]!, /events.jsonl cannot be written: ENOENT|full cannot be written: ENOSPC/);
  }
});
