// The worker processes that `train` starts on this machine: started again with backoff when they crash.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { EngineName } from '../engine/names.js';
import { UserError } from '../util/errors.js';
import type { LogLevel } from './options.js';
import { ExitCode } from './output.js';

export interface LocalWorkersOptions {
  readonly count: number;
  readonly url: string;
  /** What each is called with besides, where the coordinator wants keys. */
  readonly keyArguments: readonly string[];
  readonly runId: string;
  readonly engine: EngineName;
  readonly device: 'cpu' | 'cuda';
  /** Compute threads of each. */
  readonly threads: number;
  readonly logLevel: LogLevel;
  /** Where the coordinator serves its metrics, if it does: worker i serves its own i ports further. */
  readonly http: { readonly host: string; readonly port: number } | null;
  /** Told each line that a worker writes to stderr; null: it writes to this process's. */
  readonly onLine: ((line: string) => void) | null;
  /** Told in one sentence of a crash. */
  readonly onCrash: (message: string) => void;
}

/**
 * Received frames lie outside V8's heap and make it collect a small heap often. With helper threads each collection wakes
 * every core, all of which compute at that moment.
 */
const SINGLE_THREADED_GC = '--single-threaded-gc';

const FIRST_RESTART_MS = 200;
const LAST_RESTART_MS = 10_000;
/** A worker that lived this long did not crash because of how it was started. */
const SETTLED_MS = 10_000;
/** Crashes in a row after which a worker is given up. */
const MAX_CRASHES = 8;

export class LocalWorkers {
  private readonly children = new Map<number, ChildProcess>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopping = false;
  /** Rejects when every worker has crashed again and again, or was turned away. */
  readonly hopeless: Promise<never>;
  private giveUp!: (error: Error) => void;
  private givenUp = 0;

  constructor(private readonly options: LocalWorkersOptions) {
    this.hopeless = new Promise<never>((_, reject) => (this.giveUp = reject));
    this.hopeless.catch(() => undefined);
    for (let index = 0; index < options.count; index++) this.start(index, 0);
  }

  /** Asks all workers to end, and waits for it; after `graceMs` they are killed. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    for (const timer of this.timers) clearTimeout(timer);
    const running = [...this.children.values()];
    for (const child of running) child.kill('SIGTERM');
    const killer = setTimeout(() => {
      for (const child of running) child.kill('SIGKILL');
    }, graceMs);
    await Promise.all(running.map((child) => once(child, 'exit')));
    clearTimeout(killer);
  }

  private start(index: number, crashes: number): void {
    const { url, keyArguments, runId, engine, device, threads, logLevel, http, onLine, onCrash } =
      this.options;
    const main = fileURLToPath(new URL('./main.js', import.meta.url));
    const name = `worker-${index + 1}`;
    const startedAt = performance.now();
    const args = ['worker', url, '--name', name, '--run', runId, '--engine', engine, ...keyArguments];
    args.push('--threads', String(threads));
    if (device === 'cuda') args.push('--device', cudaDeviceOf(index));
    if (http) args.push('--http', `${http.host}:${http.port + index + 1}`);
    const child = fork(main, [...args, '--log-level', logLevel], {
      stdio: ['ignore', 'ignore', onLine ? 'pipe' : 'inherit', 'ipc'],
      execArgv: [...process.execArgv, SINGLE_THREADED_GC],
      env: { ...process.env, ...gpuOf(index) },
    });
    if (onLine) createInterface({ input: child.stderr! }).on('line', onLine);
    this.children.set(index, child);
    child.once('exit', (code, signal) => {
      this.children.delete(index);
      if (this.stopping || code === ExitCode.ok || code === ExitCode.interrupted) return;
      if (code === ExitCode.user) {
        // What it found wrong is in what it was given, or it was expelled: it would be so again.
        onCrash(`${name} cannot work here; it says why above`);
        return this.abandon(new UserError('WORKER_REFUSED', `${name} cannot work here; it says why above`));
      }
      const failed = performance.now() - startedAt > SETTLED_MS ? 1 : crashes + 1;
      onCrash(
        `${name} ended with ${signal ?? `exit code ${code}`}${failed < MAX_CRASHES ? '; starting it again' : ''}`,
      );
      if (failed >= MAX_CRASHES) {
        this.abandon(
          new Error(`every worker crashed ${MAX_CRASHES} times in a row; their messages are above`),
        );
      } else this.restart(index, failed);
    });
  }

  private restart(index: number, crashes: number): void {
    const longestMs = Math.min(LAST_RESTART_MS, FIRST_RESTART_MS * 2 ** (crashes - 1));
    // Workers that one cause ended do not come back at one moment.
    const delayMs = longestMs * (0.5 + Math.random() / 2);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.start(index, crashes);
    }, delayMs);
    this.timers.add(timer);
  }

  /** One worker less; `reason` is why the run cannot go on if it was the last. */
  private abandon(reason: Error): void {
    if (++this.givenUp === this.options.count) this.giveUp(reason);
  }
}

/** The first of those that gpuOf gives, or the worker's own of all that the machine has. */
function cudaDeviceOf(index: number): string {
  return gpuOf(index).CUDA_VISIBLE_DEVICES === undefined ? `cuda:${index}` : 'cuda:0';
}

/** Where the user lists several GPUs, each worker gets one of them: TensorFlow would take the last for all. */
function gpuOf(index: number): { CUDA_VISIBLE_DEVICES?: string } {
  const gpus = (process.env['CUDA_VISIBLE_DEVICES'] ?? '').split(',').filter((gpu) => gpu !== '');
  const gpu = gpus[index % gpus.length];
  return gpu === undefined ? {} : { CUDA_VISIBLE_DEVICES: gpu };
}
