// What a worker's session does around the state machine in worker.ts, whatever carries its messages and computes: session.ts gives
// it sockets and threads, a simulation neither.
import type { EngineFingerprint } from '../engine/engine.js';
import type { TrainingEvent } from '../metrics/events.js';
import type { ChunkGrid } from '../protocol/chunks.js';
import type { Envelope } from '../protocol/envelope.js';
import type {
  CoordinatorToWorker,
  PhaseSeconds,
  Received,
  ReducerToWorker,
  SessionOutcome,
  WorkerPhase,
  WorkerReport,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../protocol/messages.js';
import { nodeIdOf } from '../protocol/node-id.js';
import { encodeStats, type BatchStats } from '../protocol/stats.js';
import { checkReducers, checkSession } from './checks.js';
import type { Task, WorkerAction, WorkerEvent } from './events.js';
import { Silence } from './silence.js';
import { eventOfReducer, messageToReducer, resultMessage, taskOf } from './translation.js';
import { WorkerMachine } from './worker.js';

export type Welcome = CoordinatorToWorker & { type: 'welcome' };
export type TaskMessage = Received<CoordinatorToWorker> & { type: 'lease' | 'evaluate' };

/** What carries messages and computes. */
export interface Surroundings {
  /** Monotonic milliseconds. */
  now(): number;
  /** Says something to the coordinator. */
  tell(message: WorkerToCoordinator, payload?: Uint8Array): void;
  /** Opens the connection to a reducer of the welcome. */
  connect(reducer: number): void;
  send(reducer: number, message: WorkerToReducer, payload?: Uint8Array): void;
  /** The coordinator asks for the proof of a key. */
  prove(challenge: CoordinatorToWorker & { type: 'challenge' }): void;
  /** Gives the job to what computes, which calls `computeReady`; returns the geometry of the vector. */
  begin(welcome: Welcome): ChunkGrid;
  /** It works for the run from now on. */
  working(welcome: Welcome): void;
  /** Builds a task's batches, then calls `prepared`. */
  prepare(task: Task, message: TaskMessage): void;
  /** Computes a task, of which `chunkReady` and then `computed` or `cancelled` tell. */
  compute(task: Task, slot: number, buffer: number): void;
  cancel(id: number): void;
  /** The batches of a task are not needed any more. */
  drop(id: number): void;
  /** A chunk of the parameters has come, and belongs into this buffer. */
  store(slot: number, chunk: number, bytes: Uint8Array): void;
  /** The bytes of a gradient's chunk, which may be read until they have arrived. */
  chunkOf(buffer: number, chunk: number): Uint8Array;
  /** The next heartbeat; `phases`: since the session began. */
  beat(phase: WorkerPhase, phases: PhaseSeconds): { sequence: number; report: WorkerReport };
  publish(event: TrainingEvent): void;
  ended(outcome: SessionOutcome, reason: string): void;
}

const NOTHING = new Uint8Array(0);

/** Methods that hear a message throw ProtocolError where it is not what the protocol allows. */
export class Conversation {
  private machine!: WorkerMachine;
  private welcome: Welcome | undefined;
  private grid!: ChunkGrid;
  private silence: Silence | undefined;
  private readonly attached = new Set<number>();
  private engine: { readonly engine: EngineFingerprint; readonly probe: string } | undefined;
  private nextTaskId = 1;
  /** Of the coordinator's last heartbeat. */
  private echo = 0;
  /** The parameter chunk that is being handled. */
  private incoming: Uint8Array = NOTHING;
  private hasEnded = false;

  constructor(private readonly around: Surroundings) {}

  get isWelcome(): boolean {
    return this.welcome !== undefined;
  }

  // ---- what the coordinator and the reducers say

  hear(message: Received<CoordinatorToWorker>): void {
    if (this.hasEnded) return;
    this.silence?.broken(this.around.now());
    checkSession(message, this.welcome);
    switch (message.type) {
      case 'challenge':
        this.around.prove(message);
        break;
      case 'welcome':
        if (!this.welcome) this.begin(message);
        break;
      case 'lease':
      case 'evaluate': {
        const task = taskOf(message, this.nextTaskId++, this.welcome!.job);
        this.handle({ type: 'lease', task });
        this.around.prepare(task, message);
        break;
      }
      case 'recall':
        this.handle({ type: 'recall', node: nodeIdOf(message) });
        break;
      case 'heartbeat':
        this.echo = message.sequence;
        break;
      case 'bye':
        this.end(message.outcome, message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  hearReducer(reducer: number, message: Received<ReducerToWorker>): void {
    if (this.hasEnded) return;
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
    const { around } = this;
    this.welcome = welcome;
    this.silence = new Silence(welcome.job.heartbeat, around.now());
    this.grid = around.begin(welcome);
    checkReducers(welcome.reducers, this.grid);
    this.machine = new WorkerMachine(welcome.reducers, this.grid.windowChunks);
    welcome.reducers.forEach((_, reducer) => {
      around.connect(reducer);
      around.send(reducer, { type: 'attach', ...this.envelope() });
    });
  }

  private tellReady(): void {
    const { welcome, engine } = this;
    if (!engine || this.attached.size < welcome!.reducers.length) return;
    this.around.tell({ type: 'ready', ...this.envelope(), ...engine });
    this.around.working(welcome!);
  }

  // ---- what computes says

  /** @param probe the hash of a gradient, by which those are told apart that compute other bits */
  computeReady(engine: EngineFingerprint, probe: string): void {
    if (this.hasEnded) return;
    this.engine = { engine, probe };
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
    if (this.hasEnded) return;
    for (const action of this.machine.handle(event, this.around.now())) this.perform(action);
  }

  private perform(action: WorkerAction): void {
    const { around } = this;
    switch (action.type) {
      case 'pull':
      case 'received':
      case 'offer':
      case 'withdraw':
        around.send(action.reducer, messageToReducer(action, this.envelope()));
        break;
      case 'sendChunk': {
        const { reducer, chunk, buffer } = action;
        around.send(reducer, messageToReducer(action, this.envelope()), around.chunkOf(buffer, chunk));
        break;
      }
      case 'store':
        around.store(action.slot, action.chunk, this.incoming);
        break;
      case 'pulled':
        around.publish({ kind: 'parametersPulled', version: action.version });
        break;
      case 'compute':
        around.compute(action.task, action.slot, action.buffer);
        break;
      case 'cancel':
        around.cancel(action.id);
        break;
      case 'drop':
        around.drop(action.id);
        break;
      case 'tell': {
        const { stats } = action;
        const tokens = stats.reduce((sum, stat) => sum + stat.tokens, 0);
        around.publish({ kind: 'computed', microBatches: stats.length, tokens });
        around.tell(resultMessage(action, this.envelope()), encodeStats(stats));
        break;
      }
      default:
        action satisfies never;
    }
  }

  private envelope(): Envelope {
    const { session, term } = this.welcome!;
    return { session, term };
  }

  // ---- time and the end

  /** To be called every `heartbeat.intervalMs` of the job. */
  tick(): void {
    if (this.hasEnded || !this.welcome) return;
    const now = this.around.now();
    if (this.silence!.isTooLong(now)) {
      const { timeoutMs } = this.welcome.job.heartbeat;
      return this.end('lost', `the coordinator was silent for ${timeoutMs} ms`);
    }
    const beat = this.around.beat(this.machine.phase, this.machine.phasesUntil(now));
    this.around.tell({ type: 'heartbeat', ...this.envelope(), echo: this.echo, ...beat });
  }

  /** Leaves in an orderly way. */
  leave(): void {
    if (this.hasEnded) return;
    const reason = 'the worker was asked to stop';
    if (this.welcome) this.around.tell({ type: 'leave', ...this.envelope(), reason });
    this.end('stopped', reason);
  }

  /** A connection is gone, or broke the protocol. */
  lost(reason: string, outcome: SessionOutcome = 'lost'): void {
    this.end(outcome, reason);
  }

  private end(outcome: SessionOutcome, reason: string): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.around.ended(outcome, reason);
  }
}
