// The coordinator's reducer threads: started together, told the same things, heard as one.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ReducerAddress } from '../protocol/messages.js';
import type { ServerSecurity } from '../transport/keys.js';
import { receivedError, revived } from '../util/errors.js';
import type { FromReducer, ReducerFailed, ReducerSetup, ToReducer } from './reducer/port.js';
import { undecayedRanges } from './reducer/undecayed.js';
import type { OpenRun } from './run.js';

export interface ReducersHandlers {
  message(reducer: number, message: FromReducer): void;
  /** A reducer is gone: the run cannot go on. */
  failed(error: Error): void;
}

/** One setup per slice; reducers listen on ports of their own at the coordinator's host. */
export function reducerSetups(run: OpenRun, bind: string, security: ServerSecurity | null): ReducerSetup[] {
  const { config, layout, slices, vectors, term, progress } = run;
  const undecayed = undecayedRanges(layout.tensors, layout.trainable);
  return slices.map((slice) => ({
    bind: bind.replace(/:[^:]*$/, ':*'),
    security,
    term: term.number,
    trainable: layout.trainable,
    total: layout.total,
    slice,
    undecayed,
    microBatches: config.batch.microBatches,
    wire: config.wire,
    version: progress.version,
    heartbeatMs: config.heartbeat.timeoutMs,
    ...vectors,
  }));
}

interface Thread {
  readonly worker: Worker;
  readonly address: ReducerAddress;
  /** Settles when the thread has ended, which it may have done long before anybody asks. */
  readonly ended: Promise<void>;
}

export class Reducers {
  private constructor(private readonly threads: readonly Thread[]) {}

  static async start(setups: readonly ReducerSetup[], handlers: ReducersHandlers): Promise<Reducers> {
    const started = setups.map(async (setup, index) => {
      const worker = new Worker(new URL('./reducer/thread.js', import.meta.url), { workerData: setup });
      const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
      const url = await listening(worker);
      worker.on('message', (message: FromReducer | ReducerFailed) => {
        if (message.type === 'failed') handlers.failed(receivedError(message));
        else handlers.message(index, message);
      });
      worker.on('error', (error) => handlers.failed(error));
      return { worker, address: { url, ...setup.slice }, ended };
    });
    return new Reducers(await Promise.all(started));
  }

  /** Where workers find them, in the order of their slices. */
  get addresses(): ReducerAddress[] {
    return this.threads.map(({ address }) => address);
  }

  tellAll(message: ToReducer): void {
    for (const { worker } of this.threads) worker.postMessage(message);
  }

  /** Closes their sockets and waits for the threads to end by themselves. */
  async stop(): Promise<void> {
    this.tellAll({ type: 'stop' });
    await Promise.all(this.threads.map(({ ended }) => ended));
  }
}

async function listening(thread: Worker): Promise<string> {
  try {
    const [message] = (await once(thread, 'message')) as [FromReducer];
    if (message.type !== 'listening') throw new Error(`a reducer began with "${message.type}"`);
    return message.url;
  } catch (error) {
    throw revived(error as Error);
  }
}
