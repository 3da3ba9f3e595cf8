// A small run that ends when it is told to, for those that look at it.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { atEnd, temporaryDirectory } from '../support/temporary-directory.js';
import { writeDataset } from '../cli/model-run.js';

const CONFIG = `
name: shown
data: data
model: { width: 8, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, dropout: 0, maxLength: 12 }
objective: { kind: masked }
window: 8
batch: { microBatches: 4, samples: 8 }
steps: 1000000
evaluate: { every: 50, batches: 1 }
checkpoint: { every: 50, keepLast: 5, keepBest: false }
worker: { threads: 1 }
heartbeat: { intervalMs: 200, timeoutMs: 30000 }
`;

export interface LiveRun {
  /** Where commands are run: the run is `shown` there. */
  readonly folder: string;
  readonly coordinator: LockstepProcess;
  readonly workers: readonly LockstepProcess[];
  /** Of the live page. */
  readonly url: string;
  /** Starts a process that ends with the test. */
  readonly start: (...args: string[]) => LockstepProcess;
  /** Starts a coordinator where the first was, for those that follow it and for workers. */
  readonly restart: () => LockstepProcess;
}

/** @param names of its workers */
export async function startLiveRun(t: TestContext, names: readonly string[]): Promise<LiveRun> {
  const folder = await temporaryDirectory(t);
  await writeDataset(path.join(folder, 'data'), 2000);
  await writeFile(path.join(folder, 'run.yaml'), CONFIG);
  const start = (...args: string[]): LockstepProcess => {
    const child = new LockstepProcess(args, { cwd: folder });
    atEnd(t, async () => {
      child.kill('SIGKILL');
      await child.exit();
    });
    return child;
  };
  const coordinate = (...args: string[]): LockstepProcess => start('coordinator', 'run.yaml', ...args);
  const coordinator = coordinate('--bind', 'tcp://127.0.0.1:*');
  const address = await coordinator.told('where workers connect', /^Workers: npx lockstep worker (\S+)/);
  const workers = names.map((name) => start('worker', address, '--name', name));
  const url = await coordinator.told('where its live page is', /^Live page: (\S+)/);
  const restart = (): LockstepProcess => coordinate('--bind', address, '--http', new URL(url).host);
  return { folder, coordinator, workers, url, start, restart };
}
