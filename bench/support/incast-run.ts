// Receivers in threads, as a coordinator has them, and clients in processes that push to them: bytes a second.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Reducers } from '../../src/coordinator/reducers.js';
import { sharedFloats } from '../../src/engine/native/shared-floats.js';
import { ChunkGrid, type Slice } from '../../src/protocol/chunks.js';
import { MAX_HEADER_BYTES } from '../../src/protocol/frames.js';
import type { ReducerAddress } from '../../src/protocol/messages.js';
import { openGate } from '../../src/transport/gate.js';
import { generateKeyPair, type ClientSecurity, type ServerSecurity } from '../../src/transport/keys.js';
import { INCAST_TERM, type IncastPlan } from '../peers/incast-client.js';
import type { RawReceiverSetup } from '../peers/raw-receiver.js';

const BIND = 'tcp://127.0.0.1:*';
/** Steps, or parts of a second, before anything is counted. */
const WARM_UP_STEPS = 2;
const WARM_UP_MS = 200;

export interface IncastOptions {
  /** Elements of the gradient that each client pushes in a step. */
  readonly elements: number;
  readonly clients: number;
  /** That the clients are shared out among. */
  readonly processes: number;
  readonly seconds: number;
  readonly receivers: number;
  readonly encrypted: boolean;
}

interface Secrets {
  readonly server: ServerSecurity;
  readonly client: ClientSecurity;
}

/** Bytes of gradients a second that reducers received and added. */
export function reducersRate(options: IncastOptions, signal: AbortSignal): Promise<number> {
  return withSecrets(options.encrypted, async (secrets) => {
    const { elements, clients, seconds } = options;
    const sessions = Array.from({ length: clients }, (_, i) => `session-${i}`);
    let stepDone = (): void => undefined;
    let failed = (_error: Error): void => undefined;
    const failure = new Promise<never>((_resolve, reject) => (failed = reject));
    failure.catch(() => undefined); // whoever waits for a step is told
    let roots = 0;
    const reducers = await Reducers.start(setups(options, secrets), {
      message: (_reducer, message) => {
        if (message.type === 'fault') failed(new Error(`a reducer: ${message.reason}`));
        if (message.type === 'root' && ++roots % reducers.addresses.length === 0) stepDone();
      },
      failed,
    });
    for (const session of sessions) reducers.tellAll({ type: 'open', session });
    const processes = startClients(options, 'reducers', reducers.addresses, secrets, signal, failed);
    const step = async (number: number): Promise<void> => {
      const done = new Promise<void>((resolve) => (stepDone = resolve));
      reducers.tellAll({ type: 'begin', step: number, round: 0, examine: false });
      for (const [index, session] of sessions.entries())
        reducers.tellAll({
          type: 'lease',
          session,
          node: { step: number, round: 0, level: 0, index },
          audited: false,
        });
      await Promise.race([done, failure]);
      reducers.tellAll({ type: 'commit', step: number, update: null });
    };
    try {
      let number = 0;
      while (number < WARM_UP_STEPS) await step(number++);
      const start = performance.now();
      let elapsed = 0;
      while (elapsed < seconds * 1000) {
        await step(number++);
        elapsed = performance.now() - start;
      }
      return ((number - WARM_UP_STEPS) * clients * elements * 4 * 1000) / elapsed;
    } finally {
      await stopClients(processes);
      await reducers.stop();
    }
  });
}

/** The same frames over the same sockets, dropped where they arrive. */
export function socketsRate(options: IncastOptions, signal: AbortSignal): Promise<number> {
  return withSecrets(options.encrypted, async (secrets) => {
    const grid = gridOf(options);
    const received = new SharedArrayBuffer(4);
    const setup: RawReceiverSetup = {
      bind: BIND,
      security: secrets?.server ?? null,
      maxFrameBytes: grid.chunkElements * 4 + MAX_HEADER_BYTES,
      maxWaiting: 4 * grid.windowChunks,
      received,
    };
    const entry = new URL('../peers/raw-receiver.js', import.meta.url);
    const threads = Array.from({ length: options.receivers }, () => new Worker(entry, { workerData: setup }));
    const urls = await Promise.all(threads.map(async (thread) => String((await once(thread, 'message'))[0])));
    const receivers = urls.map((url) => ({ url, firstChunk: 0, endChunk: grid.chunks }));
    let failed = (_error: Error): void => undefined;
    const failure = new Promise<never>((_resolve, reject) => (failed = reject));
    const processes = startClients(options, 'sockets', receivers, secrets, signal, failed);
    const messages = new Int32Array(received);
    try {
      const wait = (ms: number): Promise<unknown> => Promise.race([setTimeout(ms), failure]);
      while (Atomics.load(messages, 0) === 0) await wait(10);
      await wait(WARM_UP_MS);
      const [start, before] = [performance.now(), Atomics.load(messages, 0)];
      await wait(options.seconds * 1000);
      const count = Atomics.load(messages, 0) - before;
      return (count * grid.chunkElements * 4 * 1000) / (performance.now() - start);
    } finally {
      await stopClients(processes);
      const ended = threads.map((thread) => once(thread, 'exit'));
      for (const thread of threads) thread.postMessage('stop');
      await Promise.all(ended);
    }
  });
}

function gridOf({ elements }: IncastOptions): ChunkGrid {
  return new ChunkGrid(elements, elements);
}

function setups(options: IncastOptions, secrets: Secrets | null) {
  const { elements, clients, receivers } = options;
  const vector = (): Float32Array => sharedFloats(elements);
  const vectors = { parameters: vector(), moment1: vector(), moment2: vector() };
  return gridOf(options)
    .slices(receivers)
    .map((slice: Slice) => ({
      bind: BIND,
      security: secrets?.server ?? null,
      term: INCAST_TERM,
      trainable: elements,
      total: elements,
      slice,
      undecayed: [],
      microBatches: clients,
      wire: 'float32' as const,
      version: 0,
      heartbeatMs: 60_000,
      ...vectors,
    }));
}

/** Starts the processes; one that ends by itself is a failure. */
function startClients(
  { elements, clients, processes }: IncastOptions,
  kind: IncastPlan['kind'],
  receivers: readonly ReducerAddress[],
  secrets: Secrets | null,
  signal: AbortSignal,
  failed: (error: Error) => void,
): ChildProcess[] {
  const all = Array.from({ length: clients }, (_, i) => ({ session: `session-${i}`, microBatch: i }));
  return Array.from({ length: Math.min(processes, clients) }, (_, process) => {
    const child = fork(new URL('../peers/incast-client.js', import.meta.url), {
      serialization: 'advanced',
      signal,
      killSignal: 'SIGKILL',
    });
    child.on('error', failed);
    child.on('exit', (code) => failed(new Error(`a process of clients ended with exit code ${code}`)));
    const plan: IncastPlan = {
      receivers,
      trainable: elements,
      security: secrets?.client ?? null,
      clients: all.filter(({ microBatch }) => microBatch % processes === process),
      kind,
    };
    child.send(plan);
    return child;
  });
}

async function stopClients(processes: readonly ChildProcess[]): Promise<void> {
  const running = processes.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  const ended = running.map((child) => once(child, 'exit'));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ended);
}

/** Keys, and the gate that lets their owners in; null where nothing is encrypted. */
async function withSecrets<T>(encrypted: boolean, body: (secrets: Secrets | null) => Promise<T>): Promise<T> {
  if (!encrypted) return body(null);
  const [server, client] = [generateKeyPair(), generateKeyPair()];
  const domain = 'incast';
  const isClient = (key: Uint8Array): boolean => Buffer.from(client.publicKey).equals(key);
  const close = await openGate(domain, isClient);
  try {
    return await body({
      server: { secretKey: server.secretKey, domain },
      client: { keys: client, coordinator: server.publicKey },
    });
  } finally {
    close();
  }
}
