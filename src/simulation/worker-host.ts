// One session of a worker without sockets, threads or clock: the real state machine and what session.ts does around
// it. Messages are the protocol's, unencoded.
import type { ChunkGrid } from '../protocol/chunks.js';
import type { Envelope } from '../protocol/envelope.js';
import type { Job } from '../protocol/job.js';
import {
  NOTHING_DONE,
  type CoordinatorToWorker,
  type Received,
  type ReducerToWorker,
  type SessionOutcome,
  type WorkerToCoordinator,
  type WorkerToReducer,
} from '../protocol/messages.js';
import { nodeIdOf } from '../protocol/node-id.js';
import { encodeStats, type BatchStats } from '../protocol/stats.js';
import { checkReducers, checkSession } from '../worker/checks.js';
import type { Task, WorkerAction, WorkerEvent } from '../worker/events.js';
import { Silence } from '../worker/silence.js';
import { eventOfReducer, messageToReducer, resultMessage, taskOf } from '../worker/translation.js';
import { WorkerMachine } from '../worker/worker.js';
import { CONTROL, NOTHING } from './coordinator-host.js';

export type Welcome = CoordinatorToWorker & { type: 'welcome' };

/** What the session is surrounded by. */
export interface WorkerSurroundings {
  readonly name: string;
  gridOf(job: Job): ChunkGrid;
  now(): number;
  /** Opens the connection to a reducer. */
  connect(reducer: number): void;
  send(endpoint: number, message: WorkerToCoordinator | WorkerToReducer, payload: Uint8Array): void;
  /** The compute thread starts; calls `computeReady`. */
  begin(welcome: Welcome): void;
  /** Builds a task's batches, then calls `prepared`. */
  prepare(task: Task): void;
  compute(task: Task, slot: number, buffer: number): void;
  cancel(id: number): void;
  /** A parameter chunk's bytes have come. */
  store(slot: number, chunk: number, bytes: Uint8Array): void;
  /** The bytes of a gradient chunk, which may be read until they have arrived. */
  chunkOf(buffer: number, chunk: number): Uint8Array;
  ended(outcome: SessionOutcome, reason: string): void;
}

export class WorkerHost {
  machine: WorkerMachine | undefined;
  private welcome: Welcome | undefined;
  private readonly attached = new Set<number>();
  private probe: string | undefined;
  private nextTaskId = 1;
  private silence: Silence | undefined;
  private grid!: ChunkGrid;
  private sequence = 0;
  private echo = 0;
  private incoming: Uint8Array = NOTHING;
  private ended = false;

  constructor(private readonly around: WorkerSurroundings) {
    const { name } = around;
    around.send(CONTROL, { type: 'hello', name, host: 'here', runId: null, key: null }, NOTHING);
  }

  get isWelcome(): boolean {
    return this.welcome !== undefined;
  }

  // ---- what the coordinator and the reducers say

  hearControl(message: Received<CoordinatorToWorker>): void {
    if (this.ended) return;
    this.silence?.broken(this.around.now());
    checkSession(message, this.welcome);
    switch (message.type) {
      case 'welcome':
        if (!this.welcome) this.begin(message);
        break;
      case 'lease':
      case 'evaluate':
        this.take(taskOf(message, this.nextTaskId++, this.welcome!.job));
        break;
      case 'recall':
        this.handle({ type: 'recall', node: nodeIdOf(message) });
        break;
      case 'heartbeat':
        this.echo = message.sequence;
        break;
      case 'challenge': // connections here are not encrypted
        break;
      case 'bye':
        this.end(message.outcome, message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  hearData(reducer: number, message: Received<ReducerToWorker>): void {
    if (this.ended) return;
    checkSession(message, this.welcome);
    switch (message.type) {
      case 'attached':
        this.attached.add(reducer);
        this.tellReady();
        break;
      case 'grant':
      case 'done':
      case 'parameters':
        this.incoming = message.payload;
        this.handle(eventOfReducer(reducer, message, this.welcome!.reducers[reducer]!, this.grid));
        break;
      case 'refused':
        this.end('lost', message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  private begin(welcome: Welcome): void {
    this.welcome = welcome;
    this.silence = new Silence(welcome.job.heartbeat, this.around.now());
    this.grid = this.around.gridOf(welcome.job);
    checkReducers(welcome.reducers, this.grid);
    this.machine = new WorkerMachine(welcome.reducers, this.grid.windowChunks);
    this.around.begin(welcome);
    welcome.reducers.forEach((_, reducer) => {
      this.around.connect(reducer);
      this.around.send(reducer, { type: 'attach', ...this.envelope() }, NOTHING);
    });
  }

  private tellReady(): void {
    if (this.probe === undefined || this.attached.size < this.welcome!.reducers.length) return;
    const engine = { engine: 'simulated', matmul: '', isa: '' };
    this.tell({ type: 'ready', ...this.envelope(), engine, probe: this.probe });
  }

  private take(task: Task): void {
    this.handle({ type: 'lease', task });
    this.around.prepare(task);
  }

  // ---- what the process's other threads say

  /** The probe's result, by which computing threads are told apart that give other bits. */
  computeReady(probe: string): void {
    if (this.ended) return;
    this.probe = probe;
    this.tellReady();
  }

  prepared(id: number): void {
    this.handle({ type: 'prepared', id });
  }

  chunkReady(id: number, chunk: number): void {
    this.handle({ type: 'chunkReady', id, chunk });
  }

  computed(id: number, stats: readonly BatchStats[], seconds: number): void {
    this.handle({ type: 'computed', id, stats, seconds });
  }

  cancelled(id: number): void {
    this.handle({ type: 'cancelled', id });
  }

  // ---- the state machine's actions

  private handle(event: WorkerEvent): void {
    if (this.ended) return;
    for (const action of this.machine!.handle(event, this.around.now())) this.perform(action);
  }

  private perform(action: WorkerAction): void {
    const { around } = this;
    switch (action.type) {
      case 'pull':
      case 'received':
      case 'offer':
      case 'withdraw':
        around.send(action.reducer, messageToReducer(action, this.envelope()), NOTHING);
        break;
      case 'sendChunk': {
        const { reducer, chunk, buffer } = action;
        const message = messageToReducer(action, this.envelope());
        around.send(reducer, message, around.chunkOf(buffer, chunk));
        break;
      }
      case 'store':
        around.store(action.slot, action.chunk, this.incoming);
        break;
      case 'compute':
        around.compute(action.task, action.slot, action.buffer);
        break;
      case 'cancel':
        around.cancel(action.id);
        break;
      case 'tell':
        this.tell(resultMessage(action, this.envelope()), encodeStats(action.stats));
        break;
      case 'pulled':
      case 'drop':
        break;
      default:
        action satisfies never;
    }
  }

  private tell(message: WorkerToCoordinator, payload: Uint8Array = NOTHING): void {
    this.around.send(CONTROL, message, payload);
  }

  private envelope(): Envelope {
    const { session, term } = this.welcome!;
    return { session, term };
  }

  // ---- time and the end

  tick(): void {
    if (this.ended || !this.welcome) return;
    const now = this.around.now();
    if (this.silence!.isTooLong(now)) return this.end('lost', 'the coordinator was silent');
    const sequence = ++this.sequence;
    const report = { ...NOTHING_DONE, phases: this.machine!.phasesUntil(now) };
    this.tell({ type: 'heartbeat', ...this.envelope(), sequence, echo: this.echo, report });
  }

  /** Leaves in an orderly way. */
  leave(): void {
    if (this.ended) return;
    if (this.welcome)
      this.tell({ type: 'leave', ...this.envelope(), reason: 'the worker was asked to stop' });
    this.end('stopped', 'the worker was asked to stop');
  }

  /** A connection is gone. */
  lost(reason: string): void {
    this.end('lost', reason);
  }

  private end(outcome: SessionOutcome, reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.around.ended(outcome, reason);
  }
}
