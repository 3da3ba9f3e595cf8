// One session of a worker with one coordinator, from the greeting to its end: the sockets, the compute thread, the
// thread that builds batches and the clock around conversation.ts. Losing any connection ends it.
import type { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { loadAddon } from '../engine/native/load.js';
import type { TrainingEvent } from '../metrics/events.js';
import { ChunkGrid } from '../protocol/chunks.js';
import { ProtocolError } from '../protocol/frames.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  reducerToWorker,
  type CoordinatorToWorker,
  type PhaseSeconds,
  type Received,
  type ReducerToWorker,
  type SessionOutcome,
  type WorkerPhase,
  type WorkerReport,
  type WorkerToCoordinator,
  type WorkerToReducer,
} from '../protocol/messages.js';
import { decodeSamples } from '../protocol/samples.js';
import { DealerSocket } from '../transport/dealer.js';
import { messageOf } from '../util/errors.js';
import { Batches } from './batches.js';
import { checkTokens } from './checks.js';
import { Compute } from './compute/compute.js';
import type { Fault } from './compute/fault.js';
import type { FromCompute } from './compute/port.js';
import { Conversation, type Surroundings, type TaskMessage, type Welcome } from './conversation.js';
import type { Task } from './events.js';
import { answerTo, helloOf, type Introduction } from './greeting.js';
import { Pulse } from './pulse.js';

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

/**
 * Runs a session to its end, which a lost connection and a coordinator that breaks the protocol are, too. Rejects when the worker
 * itself is at fault (its compute thread died).
 */
export function runSession(options: SessionOptions): Promise<SessionEnd> {
  return new Promise((resolve, reject) => new Session(options, resolve, reject).open());
}

class Session implements Surroundings {
  private readonly conversation = new Conversation(this);
  private readonly control: DealerSocket;
  private readonly reducers: DealerSocket[] = [];
  private readonly batches = new Batches();
  private readonly addon = loadAddon();
  private readonly pulse: Pulse;
  private welcome!: Welcome;
  private grid!: ChunkGrid;
  private computing: Compute | undefined;
  private timer: NodeJS.Timeout | undefined;
  private closing: Promise<void> | undefined;
  private readonly onAbort = (): void => this.conversation.leave();

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
    const { conversation } = this;
    signal.addEventListener('abort', this.onAbort);
    try {
      this.control.open({
        message: (frames) => this.guard(() => this.hear(decode(coordinatorToWorker, frames))),
        lost: (reason, hopeless) =>
          hopeless ? conversation.lost(reason, 'refused') : conversation.lost(`${url}: ${reason}`),
      });
    } catch (error) {
      this.fail(error);
      return;
    }
    this.tell(helloOf(this.options));
    this.timer = setTimeout(
      () => conversation.lost(`${url}: no answer within ${GREETING_TIMEOUT_MS} ms`),
      GREETING_TIMEOUT_MS,
    );
  }

  // ---- the coordinator

  private hear(message: Received<CoordinatorToWorker>): void {
    if (message.type === 'heartbeat') this.pulse.answered(message.echo, this.now());
    this.conversation.hear(message);
  }

  tell(message: WorkerToCoordinator, payload?: Uint8Array): void {
    this.control.send(encode(message, payload));
  }

  prove(challenge: CoordinatorToWorker & { type: 'challenge' }): void {
    this.tell(answerTo(challenge, this.options));
  }

  /** Gives the compute thread its job, and begins to keep the pulse. */
  begin(welcome: Welcome): ChunkGrid {
    const { job } = welcome;
    this.welcome = welcome;
    this.computing = new Compute(this.options.takeThread(), job, this.options.fault, {
      message: (message) => this.guard(() => this.hearCompute(message)),
      failed: (error) => this.fail(error),
    });
    const { trainable, total } = this.computing.layout;
    this.grid = new ChunkGrid(trainable, total);
    clearTimeout(this.timer);
    this.timer = setInterval(() => this.conversation.tick(), job.heartbeat.intervalMs);
    return this.grid;
  }

  working({ run, runId }: Welcome): void {
    this.options.log.info(`works for the run ${run} (${runId.slice(0, SHORT_ID)})`);
  }

  // ---- the reducers

  connect(reducer: number): void {
    const { job, reducers } = this.welcome;
    const url = reachable(reducers[reducer]!.url, this.options.url);
    const socket = new DealerSocket(url, job.heartbeat.timeoutMs, this.options.security);
    socket.open({
      message: (frames) => this.guard(() => this.hearReducer(reducer, decode(reducerToWorker, frames))),
      lost: (reason) => this.conversation.lost(`${url}: ${reason}`),
    });
    this.reducers[reducer] = socket;
  }

  private hearReducer(reducer: number, message: Received<ReducerToWorker>): void {
    if (message.type === 'parameters') this.pulse.moved('parameters_in', message.payload.length);
    this.conversation.hearReducer(reducer, message);
  }

  send(reducer: number, message: WorkerToReducer, payload?: Uint8Array): void {
    if (payload) this.pulse.moved('gradients_out', payload.length);
    this.reducers[reducer]!.send(encode(message, payload));
  }

  chunkOf(buffer: number, chunk: number): Uint8Array {
    const start = this.grid.start(chunk);
    const values = this.computing!.gradients[buffer]!.subarray(
      start,
      start + this.grid.gradientElements(chunk),
    );
    return this.welcome.job.wire === 'float32' ? bytesOf(values) : this.pack(values);
  }

  private pack(values: Float32Array): Uint8Array {
    const packed = new Uint16Array(values.length);
    this.addon.packBfloat16(values, packed, values.length);
    return new Uint8Array(packed.buffer);
  }

  store(slot: number, chunk: number, bytes: Uint8Array): void {
    bytesOf(this.computing!.parameters[slot]!, this.grid.start(chunk)).set(bytes);
  }

  // ---- the threads

  prepare(task: Task, message: TaskMessage): void {
    const { job } = this.welcome;
    const samples = decodeSamples(message.payload, message);
    checkTokens(samples, job.model.vocabularySize);
    this.batches.build(job, task, samples).then(
      () => this.guard(() => this.conversation.prepared(task.id)),
      (error: unknown) => this.fail(error),
    );
  }

  compute(task: Task, slot: number, buffer: number): void {
    this.computing!.start(task, this.batches.of(task.id), slot, buffer);
  }

  cancel(id: number): void {
    this.computing!.cancel(id);
  }

  drop(id: number): void {
    this.batches.drop(id);
  }

  private hearCompute(message: FromCompute): void {
    const { conversation } = this;
    switch (message.type) {
      case 'ready':
        conversation.computeReady(message.fingerprint, message.probe);
        break;
      case 'chunk':
        conversation.chunkReady(message.id, message.chunk);
        break;
      case 'computed':
        this.drop(message.id);
        conversation.computed(message.id, message.stats, message.seconds);
        break;
      case 'cancelled':
        this.drop(message.id);
        conversation.cancelled(message.id);
        break;
      default:
        message satisfies never;
    }
  }

  // ---- time and the end

  now(): number {
    return performance.now();
  }

  beat(phase: WorkerPhase, phases: PhaseSeconds): { sequence: number; report: WorkerReport } {
    return this.pulse.beat(phase, phases, this.computing!.progress, this.now());
  }

  publish(event: TrainingEvent): void {
    this.options.publish(event);
  }

  private guard(body: () => void): void {
    if (this.closing) return;
    try {
      body();
    } catch (error) {
      if (error instanceof ProtocolError) this.conversation.lost(error.message);
      else this.fail(error);
    }
  }

  /** When it was asked to stop, what it has said before leaves first. */
  ended(outcome: SessionOutcome, reason: string): void {
    const end = { reason, outcome, wasWelcome: this.conversation.isWelcome };
    const said = outcome === 'stopped' ? this.control.flushed() : Promise.resolve();
    said.then(() => this.close()).then(() => this.resolve(end), this.reject);
  }

  private fail(error: unknown): void {
    if (this.closing) return;
    this.options.log.error({ error: messageOf(error) }, 'the worker failed');
    this.close().then(
      () => this.reject(error),
      () => this.reject(error),
    );
  }

  private close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    clearTimeout(this.timer);
    this.options.signal.removeEventListener('abort', this.onAbort);
    for (const socket of this.reducers) socket.close();
    this.control.close();
    await this.computing?.close();
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
