// `lockstep train`: a coordinator and local workers, in one command. A run that has checkpoints goes on by itself.
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import type { RunConfig } from '../config/schema.js';
import { counted } from '../util/format.js';
import { parseHttpAddress } from './address.js';
import { makeLocalKeys } from './local-keys.js';
import { isLive } from './progress.js';
import { chooseWorkers, visibleGpus } from './worker-count.js';
import { LocalWorkers } from './local-workers.js';
import { integerOrAuto } from './options.js';
import { outputOf, type Output } from './output.js';
import {
  addRunOptions,
  awaitOutcome,
  loadRunConfig,
  sameCommand,
  startRun,
  type LocalPlan,
  type RunOptions,
  type StartedRun,
} from './run-options.js';
import { workerCommand } from './security-options.js';
import { createTrainingDisplay, isTrained, type TrainingDisplay } from './training-display.js';

interface TrainOptions extends RunOptions {
  readonly workers: number | 'auto';
}

/** Workers get this long to end when the run is over. */
const WORKER_GRACE_MS = 5000;

export function register(program: Command): void {
  addRunOptions(
    program
      .command('train')
      .description('train a run with workers on this machine; goes on where it was stopped'),
    { bind: 'tcp://127.0.0.1:*' },
  )
    .option(
      '--workers <n|auto>',
      'local worker processes; 0: only those that connect',
      integerOrAuto(0, 1024),
      'auto' as const,
    )
    .action(async (config: string, options: TrainOptions, command: Command) => {
      const output = outputOf(command);
      const display = createTrainingDisplay(process.stderr);
      const keys = options.key === undefined ? null : await makeLocalKeys(options.key);
      try {
        const runConfig = await loadRunConfig(config, options);
        const local = { ...(await wantedWorkers(runConfig, options)), keys };
        const started = await startRun(runConfig, options, display, local);
        await trainLocally(started, local, options, display, output, sameCommand());
      } finally {
        keys?.remove();
      }
    });
}

/** Runs local workers for a started coordinator until the end, and prints the result. */
export async function trainLocally(
  started: StartedRun,
  local: LocalPlan & { readonly reason?: string },
  options: Pick<TrainOptions, 'logLevel' | 'http' | 'key'>,
  display: TrainingDisplay,
  output: Output,
  resume: string,
): Promise<void> {
  const { run, coordinator } = started;
  // A run that has all its steps, or was asked to stop, ends before a worker could connect.
  const count = isTrained(run) || started.stopSignals.isAsked ? 0 : local.count;
  display.start(run, coordinator);
  if (local.reason !== undefined && count > 0)
    display.log(`${counted(count, 'worker')}: ${local.reason} (--workers).`);
  const cores = availableParallelism();
  if (count > 2 * cores)
    display.log(
      `${count} workers share ${counted(cores, 'core')}: more than one for each makes nothing faster.`,
    );
  if (local.count === 0) display.log(workerCommand(coordinator.url, options));
  const workers = new LocalWorkers({
    count,
    url: coordinator.url,
    keyArguments: local.keys?.workerArguments ?? [],
    runId: run.runId,
    engine: run.config.worker.engine,
    device: run.config.worker.device,
    threads: workerThreads(run.config, count),
    logLevel: options.logLevel,
    http: workersHttp(options.http),
    onLine: await lineWriter(display),
    onCrash: (message) => display.log(message),
  });
  // It closes its sockets then: a process that ended with them open would abort.
  workers.hopeless.catch((error: unknown) => coordinator.fail(error));
  try {
    const outcome = await awaitOutcome(started, display, resume);
    display.close();
    output.result(display.summary(outcome), display.summaryText(outcome));
  } finally {
    display.close();
    await workers.stop(WORKER_GRACE_MS);
  }
}

/** How many, and why where that was not said. */
async function wantedWorkers(
  { worker }: RunConfig,
  { workers }: TrainOptions,
): Promise<{ count: number; reason?: string }> {
  if (workers !== 'auto') return { count: workers };
  const { nvidiaGpus } = await import('./machine.js');
  const gpus = visibleGpus((await nvidiaGpus()).length, process.env['CUDA_VISIBLE_DEVICES']);
  return chooseWorkers(worker, { cores: Math.max(1, availableParallelism()), gpus });
}

/** Where a panel is drawn, what workers log goes above it; elsewhere they write to stderr themselves: null. */
async function lineWriter(display: TrainingDisplay): Promise<((line: string) => void) | null> {
  if (!isLive(process.stderr)) return null;
  const { readableLog } = await import('../metrics/log.js');
  const readable = readableLog();
  return (line) => display.log(readable(line));
}

/** Workers serve their metrics only where the user knows their ports: after the coordinator's. */
function workersHttp(address: string): { host: string; port: number } | null {
  const http = address === 'off' ? null : parseHttpAddress(address);
  return http === null || http.port === 0 ? null : http;
}

/** `auto`: this machine's cores, shared among its workers. */
function workerThreads(config: RunConfig, workers: number): number {
  const { threads } = config.worker;
  return threads === 'auto'
    ? Math.max(1, Math.floor(availableParallelism() / Math.max(1, workers)))
    : threads;
}
