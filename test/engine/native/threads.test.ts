// The addon in several JavaScript threads of one process: they share its pool, and may call it at the same time.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { loadAddon } from '../../../src/engine/native/load.js';

/** The hashes that a worker thread answers with, until it ends by itself. */
function hashesOf(threads: number, rounds: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const hashes: string[] = [];
    const worker = new Worker(new URL('./threads-worker.js', import.meta.url), {
      workerData: { threads, rounds },
    });
    worker.on('message', (hash: string) => hashes.push(hash));
    worker.on('error', reject);
    worker.on('exit', () => {
      resolve(hashes);
    });
  });
}

test('worker threads that compute at the same time, with a pool that changes its size, get the same bits', async () => {
  const [expected] = await hashesOf(1, 1); // this thread ends, and with it the only user of the addon
  const answers = await Promise.all([1, 2, 3, 4].map((threads) => hashesOf(threads, 2)));
  assert.deepEqual(new Set(answers.flat()), new Set([expected]));
  assert.equal(answers.flat().length, 8);
});

test('a process whose pool has threads ends by itself, and by process.exit', () => {
  const addon = fileURLToPath(new URL('../../../../build/lockstep.node', import.meta.url));
  const start = `const a = require(${JSON.stringify(addon)}); a.setThreads(4);
    const x = new Float32Array(300000); a.add(x, x, x, x.length, false);`;
  for (const end of ['', 'process.exit(0)']) {
    execFileSync(process.execPath, ['-e', start + end], { timeout: 20_000 });
  }
});

test('a worker thread that is terminated while it computes leaves the pool usable', async () => {
  const worker = new Worker(new URL('./threads-worker.js', import.meta.url), {
    workerData: { threads: 3, rounds: 1000 },
  });
  await new Promise((resolve) => worker.once('message', resolve));
  await worker.terminate();
  const addon = loadAddon();
  addon.setThreads(2);
  const ones = new Float32Array(200_000).fill(1);
  addon.add(ones, ones, ones, ones.length, false);
  assert.ok(ones.every((value) => value === 2));
  addon.setThreads(1);
});
