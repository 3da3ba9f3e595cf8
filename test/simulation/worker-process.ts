// A simulated worker process: one session after another with the coordinator, as worker/process.ts has them.
import type { SessionOutcome } from '../../src/protocol/messages.js';
import type { Task } from '../../src/worker/events.js';
import type { VirtualClock } from '../../src/simulation/clock.js';
import { ComputeThread } from './compute-thread.js';
import { BARE, ENGINE, helloOf, PROBE } from '../../src/simulation/bare-worker.js';
import { CONTROL } from '../../src/simulation/coordinator-host.js';
import type { FromWorker } from '../../src/simulation/wire.js';
import { Pipe, type Route } from './network.js';
import { Process } from './process.js';
import type { Random } from './random.js';
import type { Reference } from './reference.js';
import { HEARTBEAT, type Scenario } from './scenario.js';
import type { Wire } from './wire.js';
import { Conversation } from '../../src/worker/conversation.js';

export interface WorkerWorld {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly scenario: Scenario;
  readonly reference: Reference;
  /** Connects to the coordinator, if one is there. */
  connect(worker: WorkerProcess, endpoint: number, session: Session): Wire | undefined;
  /** It is not wanted, and has ended. */
  refused(worker: WorkerProcess): void;
  trace(line: () => string): void;
}

const GREETING_TIMEOUT_MS = 5000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
const INSIDE = { base: 0.02, spike: 100, spikes: 0.002 };
const NOTHING = new Uint8Array(0);

export class WorkerProcess extends Process {
  /** Both directions between its host and the coordinator's. */
  readonly route: Route = { up: false, down: false };
  private session: Session | undefined;
  private retryMs = FIRST_RETRY_MS;
  private slowness = 1;
  hasFinished = false;
  private isLeaving = false;
  private error = 0;

  constructor(
    name: string,
    private readonly world: WorkerWorld,
  ) {
    super(name, world.clock);
    this.every(HEARTBEAT.intervalMs, () => this.session?.conversation.tick());
    this.open();
  }

  get connections(): readonly Wire[] {
    return [...(this.session?.wires.values() ?? [])];
  }

  get hangs(): boolean {
    return this.session?.compute.hangs ?? false;
  }

  hang(): void {
    if (this.session) this.session.compute.hangs = true;
  }

  slow(slowness: number): void {
    this.slowness = slowness;
    if (this.session) this.session.compute.slowness = slowness;
  }

  /** From now on it computes wrongly, in a way of its own. */
  corrupt(error: number): void {
    this.error = error;
    if (this.session) this.session.compute.error = error;
  }

  get isWrong(): boolean {
    return this.error !== 0;
  }

  leave(): void {
    this.isLeaving = true;
    this.run(() => this.session?.conversation.leave());
  }

  private open(): void {
    const session = new Session(this, this.world, (outcome) => this.ended(outcome));
    session.compute.slowness = this.slowness;
    session.compute.error = this.error;
    this.session = session;
    if (!session.open()) this.ended('lost');
  }

  private ended(outcome: SessionOutcome): void {
    const { session } = this;
    session?.close();
    if (session?.isWelcome) this.retryMs = FIRST_RETRY_MS;
    this.session = undefined;
    // Workers of a run that was stopped are started again, as the run is.
    if (outcome === 'finished' || this.isLeaving) {
      this.hasFinished = true;
      this.kill();
      return;
    }
    if (outcome === 'refused') {
      this.kill();
      this.world.refused(this);
      return;
    }
    this.after(this.retryMs * (0.5 + this.world.random.next()), () => this.open());
    this.retryMs = Math.min(LAST_RETRY_MS, this.retryMs * 2);
  }
}

/** One session: its connections, its computing thread, the state machine between them. */
export class Session {
  readonly wires = new Map<number, Wire>();
  readonly compute: ComputeThread;
  conversation!: Conversation;
  private readonly inside: Pipe<() => void>;
  private readonly batches: Pipe<() => void>;

  constructor(
    private readonly worker: WorkerProcess,
    private readonly world: WorkerWorld,
    private readonly onEnd: (outcome: SessionOutcome) => void,
  ) {
    const { clock, random, scenario, reference } = world;
    const receiver = { process: worker, hear: (body: () => void) => body(), lost: () => undefined };
    this.inside = new Pipe(clock, random, receiver, INSIDE, () => false);
    this.batches = new Pipe(clock, random, receiver, INSIDE, () => false);
    this.compute = new ComputeThread(scenario, reference, worker, random, {
      chunkReady: (id, chunk) => this.inside.send(() => this.conversation.chunkReady(id, chunk), NOTHING),
      computed: (id, stats, seconds) =>
        this.inside.send(() => this.conversation.computed(id, stats, seconds), NOTHING),
      cancelled: (id) => this.inside.send(() => this.conversation.cancelled(id), NOTHING),
    });
  }

  get isWelcome(): boolean {
    return (this.conversation as Conversation | undefined)?.isWelcome ?? false;
  }

  /** False when nobody answers. */
  open(): boolean {
    const { worker, world } = this;
    if (!this.connect(CONTROL)) return false;
    const send = (endpoint: number, message: FromWorker, payload: Uint8Array = NOTHING): void =>
      this.wires.get(endpoint)?.up.send(message, payload);
    this.conversation = new Conversation({
      ...BARE,
      now: () => worker.now(),
      tell: (message, payload) => send(CONTROL, message, payload),
      connect: (reducer) => {
        if (!this.connect(reducer)) worker.run(() => this.conversation.lost('nobody listens'));
      },
      send,
      begin: () => {
        worker.after(10, () => this.conversation.computeReady(ENGINE, PROBE));
        return world.scenario.grid;
      },
      prepare: (task: Task) => this.batches.send(() => this.conversation.prepared(task.id), NOTHING),
      compute: (task, slot, buffer) => this.compute.start(task, slot, buffer),
      cancel: (id) => this.compute.cancel(id),
      store: (slot, chunk, bytes) => this.compute.store(slot, chunk, bytes),
      chunkOf: (buffer, chunk) => this.compute.chunkOf(buffer, chunk),
      ended: (outcome, reason) => {
        world.trace(() => `${worker.name} ends its session: ${reason}`);
        this.onEnd(outcome);
      },
    });
    send(CONTROL, helloOf(worker.name));
    worker.after(GREETING_TIMEOUT_MS, () => {
      if (!this.conversation.isWelcome) this.conversation.lost('no answer');
    });
    return true;
  }

  private connect(endpoint: number): boolean {
    const wire = this.world.connect(this.worker, endpoint, this);
    if (wire) this.wires.set(endpoint, wire);
    return wire !== undefined;
  }

  close(): void {
    for (const wire of this.wires.values()) wire.closeByWorker();
    this.compute.close();
    this.inside.break(0);
    this.batches.break(0);
  }
}
