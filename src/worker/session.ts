// One session of a worker with one coordinator, from the greeting to its end: the sockets, the compute thread, the
// thread that builds batches and the clock around the state machine in worker.ts. Losing any connection ends it.
import type { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { loadAddon } from '../engine/native/load.js';
import type { TrainingEvent } from '../metrics/events.js';
import { ChunkGrid } from '../protocol/chunks.js';
import type { Envelope } from '../protocol/envelope.js';
import { ProtocolError } from '../protocol/frames.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  reducerToWorker,
  type CoordinatorToWorker,
  type Received,
  type ReducerToWorker,
  type SessionOutcome,
  type WorkerToCoordinator,
} from '../protocol/messages.js';
import { nodeIdOf } from '../protocol/node-id.js';
import { decodeSamples } from '../protocol/samples.js';
import { encodeStats } from '../protocol/stats.js';
import { DealerSocket } from '../transport/dealer.js';
import { messageOf } from '../util/errors.js';
import { Batches } from './batches.js';
import { checkReducers, checkSession, checkTokens } from './checks.js';
import { Compute } from './compute/compute.js';
import type { Fault } from './compute/fault.js';
import type { FromCompute } from './compute/port.js';
import type { WorkerAction, WorkerEvent } from './events.js';
import { answerTo, helloOf, type Introduction } from './greeting.js';
import { Pulse } from './pulse.js';
import { Silence } from './silence.js';
import { eventOfReducer, messageToReducer, resultMessage, taskOf } from './translation.js';
import { WorkerMachine } from './worker.js';

export interface SessionOptions extends Introduction {
  readonly url: string;
  /** What it does wrong on purpose. */
  readonly fault: Fault | null;
  readonly log: Logger;
  readonly publish: (event: TrainingEvent) => void;
  /** A compute thread that has no job yet; the session ends it if it takes it. */
  readonly takeThread: () => Worker;
  /** Leave in an orderly way. */
  readonly signal: AbortSignal;
}

export interface SessionEnd {
  readonly reason: string;
  readonly outcome: SessionOutcome;
  /** Whether work had begun. */
  readonly wasWelcome: boolean;
}

/** Until the welcome says otherwise. */
const GREETING_TIMEOUT_MS = 5000;
/** Digits of a run's id that a person reads. */
const SHORT_ID = 8;
type Welcome = CoordinatorToWorker & { type: 'welcome' };

/** Runs a session to its end; rejects when the worker itself is at fault (its compute thread died). */
export function runSession(options: SessionOptions): Promise<SessionEnd> {
  return new Promise((resolve, reject) => new Session(options, resolve, reject).open());
}

class Session {
  private readonly control: DealerSocket;
  private reducers: DealerSocket[] = [];
  private welcome: Welcome | undefined;
  private grid!: ChunkGrid;
  private machine!: WorkerMachine;
  private compute: Compute | undefined;
  private readonly batches = new Batches();
  private readonly addon = loadAddon();
  /** Which reducers answer, and whether the compute thread is ready. */
  private readonly readiness: { attached: Set<number>; compute?: FromCompute & { type: 'ready' } } = {
    attached: new Set(),
  };
  private nextTaskId = 1;
  private timer: NodeJS.Timeout | undefined;
  private silence: Silence | undefined;
  private readonly pulse: Pulse;
  private echo = 0;
  /** The parameter chunk that is being handled. */
  private incoming: Uint8Array = new Uint8Array(0);
  private ended = false;
  private readonly onAbort = (): void => this.leave();

  constructor(
    private readonly options: SessionOptions,
    private readonly resolve: (end: SessionEnd) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    this.pulse = new Pulse(options.publish);
    this.control = new DealerSocket(options.url, GREETING_TIMEOUT_MS, options.security);
  }

  open(): void {
    const { url, signal } = this.options;
    signal.addEventListener('abort', this.onAbort);
    try {
      this.control.open({
        message: (frames) => this.guard(() => this.hear(decode(coordinatorToWorker, frames))),
        lost: (reason, hopeless) => (hopeless ? this.end(reason, 'refused') : this.end(`${url}: ${reason}`)),
      });
    } catch (error) {
      this.fail(error);
      return;
    }
    this.tell(helloOf(this.options));
    this.timer = setTimeout(
      () => this.end(`${url}: no answer within ${GREETING_TIMEOUT_MS} ms`),
      GREETING_TIMEOUT_MS,
    );
  }

  // ---- the coordinator

  private hear(message: Received<CoordinatorToWorker>): void {
    this.silence?.broken(performance.now());
    checkSession(message, this.welcome);
    switch (message.type) {
      case 'challenge':
        this.tell(answerTo(message, this.options));
        break;
      case 'welcome':
        if (!this.welcome) this.begin(message);
        break;
      case 'lease':
      case 'evaluate':
        this.receiveTask(message);
        break;
      case 'recall':
        this.handle({ type: 'recall', node: nodeIdOf(message) });
        break;
      case 'heartbeat':
        this.echo = message.sequence;
        this.pulse.answered(message.echo, performance.now());
        break;
      case 'bye':
        this.end(message.reason, message.outcome);
        break;
      default:
        message satisfies never;
    }
  }

  /** Greeted: connect to the reducers, give the compute thread its job, keep the pulse. */
  private begin(welcome: Welcome): void {
    const { job } = welcome;
    this.welcome = welcome;
    this.silence = new Silence(job.heartbeat, performance.now());
    this.compute = new Compute(this.options.takeThread(), job, this.options.fault, {
      message: (message) => this.guard(() => this.hearCompute(message)),
      failed: (error) => this.fail(error),
    });
    const { trainable, total } = this.compute.layout;
    this.grid = new ChunkGrid(trainable, total);
    checkReducers(welcome.reducers, this.grid);
    this.machine = new WorkerMachine(welcome.reducers, this.grid.windowChunks);
    this.reducers = welcome.reducers.map(({ url }, reducer) =>
      this.attach(reachable(url, this.options.url), reducer),
    );
    clearTimeout(this.timer);
    this.timer = setInterval(() => this.tick(), job.heartbeat.intervalMs);
  }

  private attach(url: string, reducer: number): DealerSocket {
    const socket = new DealerSocket(url, this.welcome!.job.heartbeat.timeoutMs, this.options.security);
    socket.open({
      message: (frames) => this.guard(() => this.hearReducer(reducer, decode(reducerToWorker, frames))),
      lost: (reason) => this.end(`${url}: ${reason}`),
    });
    socket.send(encode({ type: 'attach', ...this.envelope() }));
    return socket;
  }

  private tellReady(): void {
    const { attached, compute } = this.readiness;
    if (!compute || attached.size < this.reducers.length) return;
    const { fingerprint: engine, probe } = compute;
    this.tell({ type: 'ready', ...this.envelope(), engine, probe });
    const { run, runId } = this.welcome!;
    this.options.log.info(`works for the run ${run} (${runId.slice(0, SHORT_ID)})`);
  }

  private receiveTask(message: Received<CoordinatorToWorker> & { type: 'lease' | 'evaluate' }): void {
    const { job } = this.welcome!;
    const task = taskOf(message, this.nextTaskId++, job);
    const samples = decodeSamples(message.payload, message);
    checkTokens(samples, job.model.vocabularySize);
    this.handle({ type: 'lease', task });
    this.batches.build(job, task, samples).then(
      () => this.guard(() => this.handle({ type: 'prepared', id: task.id })),
      (error: unknown) => this.fail(error),
    );
  }

  // ---- the reducers

  private hearReducer(reducer: number, message: Received<ReducerToWorker>): void {
    checkSession(message, this.welcome);
    switch (message.type) {
      case 'attached':
        this.readiness.attached.add(reducer);
        this.tellReady();
        break;
      case 'grant':
      case 'done':
        this.handle(eventOfReducer(reducer, message, this.welcome!.reducers[reducer]!, this.grid));
        break;
      case 'parameters': {
        const event = eventOfReducer(reducer, message, this.welcome!.reducers[reducer]!, this.grid);
        this.incoming = message.payload;
        this.pulse.moved('parameters_in', message.payload.length);
        this.handle(event);
        break;
      }
      case 'refused':
        this.end(message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  // ---- the compute thread

  private hearCompute(message: FromCompute): void {
    switch (message.type) {
      case 'ready':
        this.readiness.compute = message;
        this.tellReady();
        break;
      case 'chunk':
        this.handle({ type: 'chunkReady', id: message.id, chunk: message.chunk });
        break;
      case 'computed':
      case 'cancelled':
        this.batches.drop(message.id);
        this.handle(message);
        break;
      default:
        message satisfies never;
    }
  }

  // ---- the state machine's actions

  private handle(event: WorkerEvent): void {
    if (this.ended) return;
    for (const action of this.machine.handle(event, performance.now())) this.perform(action);
  }

  private perform(action: WorkerAction): void {
    switch (action.type) {
      case 'pull':
      case 'received':
      case 'offer':
      case 'withdraw':
        this.reducers[action.reducer]!.send(encode(messageToReducer(action, this.envelope())));
        break;
      case 'sendChunk':
        this.sendChunk(action);
        break;
      case 'store':
        bytesOf(this.compute!.parameters[action.slot]!, this.grid.start(action.chunk)).set(this.incoming);
        break;
      case 'pulled':
        this.options.publish({ kind: 'parametersPulled', version: action.version });
        break;
      case 'compute':
        this.compute!.start(action.task, this.batches.of(action.task.id), action.slot, action.buffer);
        break;
      case 'cancel':
        this.compute!.cancel(action.id);
        break;
      case 'drop':
        this.batches.drop(action.id);
        break;
      case 'tell':
        this.tellResult(action);
        break;
      default:
        action satisfies never;
    }
  }

  private sendChunk(action: WorkerAction & { type: 'sendChunk' }): void {
    const { reducer, chunk, buffer } = action;
    const start = this.grid.start(chunk);
    const elements = this.grid.gradientElements(chunk);
    const values = this.compute!.gradients[buffer]!.subarray(start, start + elements);
    const payload = this.welcome!.job.wire === 'float32' ? bytesOf(values) : this.pack(values);
    this.pulse.moved('gradients_out', payload.length);
    this.reducers[reducer]!.send(encode(messageToReducer(action, this.envelope()), payload));
  }

  private pack(values: Float32Array): Uint8Array {
    const packed = new Uint16Array(values.length);
    this.addon.packBfloat16(values, packed, values.length);
    return new Uint8Array(packed.buffer);
  }

  private tellResult(action: WorkerAction & { type: 'tell' }): void {
    const { stats } = action;
    const tokens = stats.reduce((sum, stat) => sum + stat.tokens, 0);
    this.options.publish({ kind: 'computed', microBatches: stats.length, tokens });
    this.tell(resultMessage(action, this.envelope()), encodeStats(stats));
  }

  private tell(message: WorkerToCoordinator, payload?: Uint8Array): void {
    this.control.send(encode(message, payload));
  }

  private envelope(): Envelope {
    const { session, term } = this.welcome!;
    return { session, term };
  }

  // ---- time and the end

  private tick(): void {
    const now = performance.now();
    const { timeoutMs } = this.welcome!.job.heartbeat;
    if (this.silence!.isTooLong(now)) return this.end(`the coordinator was silent for ${timeoutMs} ms`);
    const { machine, echo } = this;
    const beat = this.pulse.beat(machine.phase, machine.phasesUntil(now), this.compute!.progress, now);
    this.tell({ type: 'heartbeat', ...this.envelope(), echo, ...beat });
  }

  private guard(body: () => void): void {
    try {
      if (!this.ended) body();
    } catch (error) {
      if (error instanceof ProtocolError) this.end(error.message);
      else this.fail(error);
    }
  }

  private leave(): void {
    if (this.welcome)
      this.tell({ type: 'leave', ...this.envelope(), reason: 'the worker was asked to stop' });
    void this.control.flushed().then(() => this.end('the worker was asked to stop', 'stopped'));
  }

  private end(reason: string, outcome: SessionOutcome = 'lost'): void {
    if (this.ended) return;
    const end = { reason, outcome, wasWelcome: this.welcome !== undefined };
    this.close().then(() => this.resolve(end), this.reject);
  }

  private fail(error: unknown): void {
    if (this.ended) return;
    this.options.log.error({ error: messageOf(error) }, 'the worker failed');
    this.close().then(
      () => this.reject(error),
      () => this.reject(error),
    );
  }

  private async close(): Promise<void> {
    this.ended = true;
    clearTimeout(this.timer);
    this.options.signal.removeEventListener('abort', this.onAbort);
    for (const socket of this.reducers) socket.close();
    this.control.close();
    await this.compute?.close();
    await this.batches.close();
  }
}

/** The bytes of a vector from an element on; vectors lie on shared memory. */
function bytesOf(values: Float32Array, start = 0): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset + start * 4, values.byteLength - start * 4);
}

/**
 * Reducers are threads of the coordinator's process: they are found at the host where it was found, whatever address it
 * bound itself (all interfaces, or one behind a forwarded port).
 */
function reachable(url: string, coordinatorUrl: string): string {
  return coordinatorUrl.slice(0, coordinatorUrl.lastIndexOf(':')) + url.slice(url.lastIndexOf(':'));
}
