// What a thread leaves on the device. A worker whose coordinator is started again computes in a new thread of the same process.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { testLibrary } from './device.js';

await testLibrary();
process.env['LOCKSTEP_EMULATED_DEVICE_BYTES'] = String(2 ** 24);

interface Found {
  readonly freeBytes: number;
  readonly address: number;
}

async function inThread(): Promise<Found> {
  const thread = new Worker(new URL('./device-thread.js', import.meta.url));
  const [[found]] = await Promise.all([once(thread, 'message') as Promise<[Found]>, once(thread, 'exit')]);
  return found;
}

test('a thread finds the device as the thread before it did, which gave nothing back', async () => {
  const first = await inThread();
  const second = await inThread();
  assert.ok(first.address > 0 && second.address > 0);
  assert.equal(second.freeBytes, first.freeBytes);
});
