// Many workers that push at once: the coordinator's memory stays within what it owes them, it answers in time, and nothing
// is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { isCommit } from '../../bench/support/log-lines.js';
import { peakResidentBytes, residentBytes } from '../../bench/support/process-usage.js';
import { scrape } from '../../bench/support/prometheus.js';
import { SocketWorker } from '../../bench/support/socket-worker.js';
import { folderWithData, removeFolder } from '../support/small-data.js';
import { IS_FULL } from './cases.js';

const CLIENTS = 64;
/** Committed before the run is asked to stop. */
const STEPS = 6;
/** On a machine that does nothing else; beside other tests its threads wait for cores, too. */
const MOST_LAG_SECONDS = IS_FULL ? 0.05 : 2;
const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 128, heads: 4, feedForward: 1024, encoderLayers: 2, decoderLayers: 2, maxLength: 16 }
window: 8
batch: { microBatches: ${CLIENTS}, samples: 1 }
steps: 1000000
evaluate: { batches: 1, every: 1000000 }
heartbeat: { intervalMs: 1000, timeoutMs: 60000 }
`;

let folder = '';

before(async () => {
  folder = await folderWithData(CONFIG, { validationShare: 0 });
});

after(() => removeFolder(folder));

/** The 99th percentile since it was asked last. */
async function eventLoopLag(url: string): Promise<number> {
  const metrics = await scrape(url, 30_000);
  return metrics!.get('nodejs_eventloop_lag_p99_seconds')!;
}

test('64 workers that push at once are all counted, in bounded memory, and are answered in time', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs /proc');
  const args = [
    '--bind',
    'tcp://127.0.0.1:*',
    '--http',
    '127.0.0.1:0',
    '--log-level',
    'debug',
    '--run',
    'run',
  ];
  const run = new LockstepProcess(['coordinator', 'run.yaml', ...args], { cwd: folder });
  t.after(() => run.kill('SIGKILL'));
  const { url } = await run.listening();
  const metrics = await run.told('where metrics are', /metrics: (\S+)\)/);
  const parameters = await run.told('its size', /([\d,]+) parameters/);
  const count = Number(parameters.replaceAll(',', ''));
  const idle = residentBytes(run.pid);
  const names = Array.from({ length: CLIENTS }, (_, i) => `worker-${i}`);
  const clients = names.map((name) => new SocketWorker({ url, name, microBatchMs: 0 }));
  let most = idle;
  const watch = setInterval(() => {
    try {
      most = Math.max(most, peakResidentBytes(run.pid));
    } catch {
      // It has ended.
    }
  }, 50);
  await run.line('the first step', isCommit(0));
  await eventLoopLag(metrics); // from here on: all have joined, and push
  await run.line('the last step', isCommit(STEPS - 1));
  const lag = await eventLoopLag(metrics);
  run.kill('SIGTERM');
  const ends = await Promise.all(clients.map(({ ended }) => ended));
  clearInterval(watch);
  assert.equal(await run.exit(), 130, run.text());
  assert.deepEqual([...new Set(ends)], ['the run is stopped']);
  assert.deepEqual(
    run.lines.filter(({ msg }) => msg.includes('left: ')),
    [],
  );
  // Vectors and moments, a copy for the checkpoint, the accumulators of the tree, and room.
  const accumulators = Math.log2(CLIENTS) + 5;
  const allowed = idle + count * (12 + 12 + 4 * accumulators) + 256 * 2 ** 20;
  const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
  t.diagnostic(
    `${count} parameters, idle ${mebibytes(idle)} MiB, most ${mebibytes(most)} of ${mebibytes(allowed)} MiB`,
  );
  t.diagnostic(`event loop lag, 99th percentile: ${Math.round(lag * 1000)} ms`);
  assert.ok(most <= allowed, `${most} bytes, allowed are ${allowed}`);
  assert.ok(lag < MOST_LAG_SECONDS, `the event loop was late by ${lag} s`);
});
