// A thread of threads.test.ts: runs the cases it is given on the addon and answers with a hash of the results.

import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { loadAddon } from '../../../src/engine/native/load.js';
import { cases } from './cases.js';

const { threads, rounds } = workerData as { threads: number; rounds: number };
const addon = loadAddon();
addon.setThreads(threads);
for (let round = 0; round < rounds; round++) {
  const hash = createHash('sha256');
  for (const { run } of cases()) for (const output of run(addon)) hash.update(output);
  parentPort!.postMessage(hash.digest('hex'));
}
