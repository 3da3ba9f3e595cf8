import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { TensorBoard } from '../../../src/metrics/tracking/tensorboard.js';
import { crc32c, versionRecord } from '../../../src/metrics/tracking/tfevents.js';
import { committed, evaluated, everyKind } from '../events.js';
import { temporaryDirectory } from '../../support/temporary-directory.js';
import { readEvents, type TensorBoardEvent } from './read-tfevents.js';

function fail(message: string): never {
  throw new Error(message);
}

async function eventsIn(directory: string): Promise<TensorBoardEvent[][]> {
  const names = (await readdir(directory)).sort();
  return Promise.all(names.map(async (name) => readEvents(await readFile(path.join(directory, name)))));
}

test('the checksum is CRC-32C, and a file begins as TensorFlow begins it', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283); // the check value of RFC 3720's CRC
  // The first 12 bytes of any event file: a length of 24 and its masked checksum.
  assert.equal(versionRecord(1).subarray(0, 12).toString('hex'), '1800000000000000a37f4b22');
  assert.equal(versionRecord(1).length, 8 + 4 + 24 + 4);
});

test('steps, evaluations and checkpoints are scalars at the version they belong to', async (t) => {
  const directory = path.join(await temporaryDirectory(t), 'tensorboard');
  const board = new TensorBoard({ directory, version: 0, term: 1, onFailure: fail, now: () => 7 });
  for (const event of everyKind) board.on(event);
  await board.close();
  const [events = []] = await eventsIn(directory);
  assert.equal(events[0]!.fileVersion, 'brain.Event:2');
  assert.deepEqual([events[1]!.startsSession, events[1]!.step], [true, 1]);
  assert.ok(events.every(({ wallTime }) => wallTime === 7));
  const [step, evaluation, checkpoint, predicted] = events.slice(2);
  assert.equal(step!.step, 1);
  assert.equal(step!.scalars['train/loss'], 2.5);
  assert.equal(step!.scalars['train/accuracy'], 0.25);
  assert.equal(step!.scalars['speed/tokens_per_second'], 2000);
  assert.deepEqual([evaluation!.step, evaluation!.scalars['validation/loss']], [2, 3]);
  assert.deepEqual([checkpoint!.step, checkpoint!.scalars['checkpoint/bytes']], [2, 12345]);
  // In Markdown, in which nothing of a text is markup.
  const table = [
    ...['| | |', '|-|-|', '| **source** | ä &#60;mask&#62; |', '| **prediction** | ä &#42;b&#42; |'],
    '| **target** | ä b |',
  ];
  assert.deepEqual([predicted!.step, predicted!.texts], [4, { 'samples/1': table.join('\n') }]);
  assert.equal(events.length, 6);
});

test('a coordinator that goes on declares void what an older file says beyond its version, in a file of its own', async (t) => {
  const directory = await temporaryDirectory(t);
  const first = new TensorBoard({ directory, version: 0, term: 1, onFailure: fail, now: () => 1 });
  for (const step of [0, 1, 2]) first.on(committed(step));
  await first.close();
  const second = new TensorBoard({ directory, version: 2, term: 2, onFailure: fail, now: () => 2 });
  second.on(committed(2));
  second.on(evaluated(3));
  await second.close();
  // As TensorBoard reads: files by name; the start of a session drops its step and later ones.
  let steps: number[] = [];
  for (const event of (await eventsIn(directory)).flat()) {
    if (event.startsSession) steps = steps.filter((step) => step < event.step);
    if ('train/loss' in event.scalars) steps.push(event.step);
  }
  assert.deepEqual(steps, [1, 2, 3]);
  assert.equal((await readdir(directory)).length, 2);
});

test('what is not finite is left out', async (t) => {
  const directory = await temporaryDirectory(t);
  const board = new TensorBoard({ directory, version: 0, term: 1, onFailure: fail });
  board.on({ ...committed(0), loss: NaN, gradientNorm: Infinity });
  await board.close();
  const { scalars } = (await eventsIn(directory))[0]![2]!;
  assert.ok('train/accuracy' in scalars);
  assert.ok(!('train/loss' in scalars) && !('train/gradient_norm' in scalars));
});

test('a folder that cannot be made is told once, and harms nobody', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'file');
  await writeFile(file, '');
  const told: string[] = [];
  const onFailure = (message: string): void => void told.push(message);
  const board = new TensorBoard({ directory: path.join(file, 'below'), version: 0, term: 1, onFailure });
  for (let step = 0; step < 10; step++) board.on(committed(step));
  await board.close();
  board.on(committed(10));
  await board.close();
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^TensorBoard's event file could not be written: .*ENOTDIR/);
});
