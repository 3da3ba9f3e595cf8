// One size of `bench -- scale`: a coordinator's process, workers that pretend to compute, and what both used in some steps.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LockstepProcess } from './lockstep-process.js';
import { cpuOf, residentBytes } from './process-usage.js';
import type { MeasuredStep } from './scale-model.js';
import { SocketWorker } from './socket-worker.js';

/** So small that hundreds of workers' gradients cross this machine in seconds. */
const MODEL = {
  width: 128,
  heads: 4,
  feedForward: 512,
  encoderLayers: 3,
  decoderLayers: 3,
  maxLength: 16,
};
/** Everybody joins in the first steps. */
const WARM_UP = 2;
const NEVER = 1_000_000;

interface ScaleRun {
  readonly folder: string;
  readonly workers: number;
  readonly reducers: number;
  readonly computeMs: number;
  readonly steps: number;
  readonly signal: AbortSignal;
}

export async function measureStep(run: ScaleRun): Promise<MeasuredStep> {
  const { folder, workers, reducers, computeMs, steps, signal } = run;
  const config = join(folder, `scale-${workers}.yaml`);
  await writeFile(config, JSON.stringify(configOf(run))); // JSON is YAML
  const directory = join(folder, `scale-${workers}`);
  const args = ['coordinator', config, '--run', directory, '--bind', 'tcp://127.0.0.1:*'];
  const coordinator = new LockstepProcess(args, { signal });
  const clients: SocketWorker[] = [];
  try {
    const url = await coordinator.told('where workers connect', /^Workers: npx lockstep worker (\S+)/);
    const begun = new StepClock();
    for (let i = 0; i < workers; i++) {
      const name = `worker-${i}`;
      const leased = (step: number): void => begun.reached(step);
      const client = new SocketWorker({ url, name, microBatchMs: computeMs, leased });
      void client.ended.then((reason) => begun.fail(new Error(`${name} ended its session: ${reason}`)));
      clients.push(client);
    }
    const before = await begun.step(WARM_UP, () => usage(coordinator.pid));
    const after = await begun.step(WARM_UP + steps, () => usage(coordinator.pid));
    const each = (of: (usage: Usage) => number): number => (of(after) - of(before)) / steps;
    return {
      workers,
      reducers,
      parameters: clients[0]!.parameters,
      computeMs,
      stepMs: each(({ now }) => now),
      cpuMs: {
        all: 1000 * each(({ cpu }) => cpu.all),
        main: 1000 * each(({ cpu }) => cpu.main),
        io: 1000 * each(({ cpu }) => cpu.io),
      },
      workerCpuMs: each(({ ownCpuMs }) => ownCpuMs),
      residentMegabytes: residentBytes(coordinator.pid) / 2 ** 20,
    };
  } finally {
    for (const client of clients) client.close();
    coordinator.kill('SIGKILL');
    await coordinator.exit();
  }
}

function configOf({ folder, workers, reducers }: ScaleRun): object {
  return {
    data: join(folder, 'data'),
    model: MODEL,
    window: 8,
    batch: { microBatches: workers, samples: 2 },
    steps: NEVER,
    reducers,
    evaluate: { every: NEVER, batches: 1 },
    checkpoint: { every: NEVER, keepLast: 1 },
    heartbeat: { timeoutMs: 60_000 },
  };
}

type Usage = ReturnType<typeof usage>;

function usage(pid: number) {
  const own = process.cpuUsage();
  return { now: performance.now(), cpu: cpuOf(pid), ownCpuMs: (own.user + own.system) / 1000 };
}

/** Calls back when a step begins: when the first part of it is leased. */
class StepClock {
  private newest = -1;
  private waiting: { step: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  private failure: Error | undefined;

  reached(step: number): void {
    this.newest = Math.max(this.newest, step);
    const due = this.waiting.filter((wait) => wait.step <= this.newest);
    this.waiting = this.waiting.filter((wait) => wait.step > this.newest);
    for (const { resolve } of due) resolve();
  }

  fail(error: Error): void {
    this.failure = error;
    for (const { reject } of this.waiting) reject(error);
  }

  step<T>(step: number, then: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.failure) return reject(this.failure);
      this.waiting.push({ step, resolve: () => resolve(then()), reject });
      this.reached(this.newest);
    });
  }
}
