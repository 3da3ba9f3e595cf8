// Many workers that push at once: the coordinator's memory stays within what it owes them, and nothing is lost.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { prepare } from '../../src/data/prepare.js';
import { LightWorker } from '../support/light-worker.js';
import { Lockstep } from './processes.js';

const CLIENTS = 64;
const STEPS = 2;
const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 128, heads: 4, feedForward: 1024, encoderLayers: 2, decoderLayers: 2, maxLength: 16 }
window: 8
batch: { microBatches: ${CLIENTS}, samples: 1 }
steps: ${STEPS}
evaluate: { batches: 1, every: 1000000 }
heartbeat: { intervalMs: 1000, timeoutMs: 60000 }
`;

let folder = '';

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lockstep-load-'));
  const words = Array.from({ length: 3000 }, (_, i) => `w${(i * i + 7 * i) % 701}`);
  await writeFile(path.join(folder, 'text.txt'), words.join(' '));
  await writeFile(path.join(folder, 'run.yaml'), CONFIG);
  await prepare({
    inputs: [path.join(folder, 'text.txt')],
    out: path.join(folder, 'data'),
    vocabularySize: 400,
    validationShare: 0,
  });
});

after(() => rm(folder, { recursive: true, force: true }));

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}

test(`${CLIENTS} workers that push at once are all counted, in bounded memory`, async (t) => {
  if (process.platform !== 'linux') return t.skip('needs /proc');
  const args = ['--bind', 'tcp://127.0.0.1:*', '--log-level', 'info', '--run', 'run'];
  const run = new Lockstep(['coordinator', 'run.yaml', ...args], { cwd: folder });
  t.after(() => run.kill('SIGKILL'));
  const { url, pid } = await run.line('it listens', ({ msg }) => msg === 'coordinator listening');
  const parameters = await run.line('its size', ({ msg }) => /[\d,]+ parameters/.test(msg));
  const count = Number(/([\d,]+) parameters/.exec(parameters.msg)![1]!.replaceAll(',', ''));
  const idle = memoryOf(Number(pid), 'VmRSS');
  const clients = Array.from({ length: CLIENTS }, (_, i) => new LightWorker(String(url), `light-${i}`));
  let most = idle;
  const watch = setInterval(() => {
    try {
      most = Math.max(most, memoryOf(Number(pid), 'VmHWM'));
    } catch {
      // It has ended.
    }
  }, 50);
  const ends = await Promise.all(clients.map(({ ended }) => ended));
  clearInterval(watch);
  assert.equal(await run.exit(), 0, run.text());
  assert.deepEqual([...new Set(ends)], ['the run is completed']);
  // Vectors and moments, a copy for the checkpoint, the accumulators of the tree, and room.
  const accumulators = Math.log2(CLIENTS) + 5;
  const allowed = idle + count * (12 + 12 + 4 * accumulators) + 256 * 2 ** 20;
  t.diagnostic(
    `${count} parameters, idle ${idle / 2 ** 20} MiB, most ${most / 2 ** 20} of ${allowed / 2 ** 20} MiB`,
  );
  assert.ok(most <= allowed, `${most} bytes, allowed are ${allowed}`);
});
