// Disks that are full or read-only while a checkpoint is due, and checkpoints that are damaged while nobody looks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { isLease, says } from '../../bench/support/log-lines.js';
import { recordsOf } from '../../bench/support/run-metrics.js';
import { withoutRoot } from '../support/root.js';
import { chaosCases } from './cases.js';
import type { Scene } from './scene.js';

const chaos = chaosCases();
const run = promisify(execFile);
const skip = withoutRoot('to mount a small disk');

/** Gives the scene a disk of its own at `directory`. */
async function mountDisk(scene: Scene, directory: string, megabytes: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'lockstep-chaos', directory]);
  scene.atClose(() => run('umount', ['-l', directory]));
}

async function metrics(scene: Scene): Promise<string> {
  return (await fetch(await scene.coordinator.told('where its metrics are', METRICS))).text();
}

/** Trains until the first checkpoint was due and failed, and returns why. Then nobody trains, and there is time to repair. */
async function failToWrite(scene: Scene): Promise<string> {
  const failpoint = { point: 'when it gets a lease', step: 3, signal: 'SIGKILL' } as const;
  await scene.killed(scene.worker('a', { failpoint }));
  const { msg } = await scene.coordinator.line('that a checkpoint failed', says(FAILED));
  assert.match(await metrics(scene), /^lockstep_checkpoints_total\{outcome="failed".*\} [1-9]/m);
  return msg;
}

/** Trains on, and awaits the next checkpoint. */
async function goOn(scene: Scene): Promise<void> {
  scene.worker('b');
  await scene.coordinator.nextLine('the next checkpoint', says(WRITTEN));
}

const METRICS = /^Live page: .*metrics: ([^)]+)/;
const FAILED = 'the checkpoint could not be written: …';
const WRITTEN = 'checkpoint written';

chaos('the disk is full when a checkpoint is due', { skip }, async (scene) => {
  await mountDisk(scene, scene.directory, 16);
  const filler = path.join(scene.directory, 'filler');
  await scene.startCoordinator({ args: ['--http', '0'] });
  await writeFile(filler, Buffer.alloc(20 << 20)).catch(() => undefined); // until nothing more fits
  assert.match(await failToWrite(scene), /ENOSPC/);
  await rm(filler);
  await goOn(scene);
  await scene.coordinator.exit();
  const steps = await recordsOf(scene.directory, 'stepCommitted');
  assert.equal(steps.length, scene.steps, 'every step is recorded, also those of the full disk');
});

chaos('the disk is read-only when a checkpoint is due', { skip }, async (scene) => {
  const directory = path.join(scene.directory, 'checkpoints');
  await mountDisk(scene, directory, 16);
  await scene.startCoordinator({ args: ['--http', '0'] });
  await run('mount', ['-o', 'remount,ro', directory]);
  assert.match(await failToWrite(scene), /EROFS/);
  await run('mount', ['-o', 'remount,rw', directory]);
  await goOn(scene);
});

chaos('the newest checkpoint has a flipped bit, and the one before it is cut off', {}, async (scene) => {
  const first = await scene.startCoordinator({
    failpoint: { point: 'when the checkpoint is written', step: 6, signal: 'SIGKILL' },
    args: ['--set', 'checkpoint.keepLast=5'],
  });
  scene.worker('a');
  await scene.killed(first);
  const flipped = scene.checkpoint(6, 'model.safetensors');
  const bytes = await readFile(flipped);
  bytes[bytes.length - 1000]! ^= 4;
  await writeFile(flipped, bytes);
  await truncate(scene.checkpoint(4, 'optimizer.safetensors'), 1000);
  const second = await scene.startCoordinator({ args: ['--set', 'checkpoint.keepLast=5'] });
  for (const step of [6, 4]) {
    await second.line(
      `that step ${step} is damaged`,
      ({ msg }) => msg.startsWith(scene.checkpoint(step)) && msg.endsWith('using an older one'),
    );
  }
  await second.line('step 2 again', isLease(2));
});
