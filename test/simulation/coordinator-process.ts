// A simulated coordinator process, reducers included: it begins at the newest checkpoint, and its end, whenever it comes,
// loses everything that is not in one.
import type { CheckpointWriter } from '../../src/coordinator/checkpoint-writer.js';
import type { CoordinatorAction, CoordinatorEvent } from '../../src/coordinator/events.js';
import type { Slice } from '../../src/protocol/chunks.js';
import { nominalJob } from '../../src/simulation/nominal-job.js';
import { arithmetic } from './arithmetic.js';
import { checkpointWriter, checkTerm, type Holding } from './checkpoints.js';
import type { VirtualClock } from '../../src/simulation/clock.js';
import type { Disk } from './disk.js';
import { CONTROL, CoordinatorHost, NOTHING } from '../../src/simulation/coordinator-host.js';
import { Invariants } from './invariants.js';
import { Pipe } from './network.js';
import { Process } from './process.js';
import type { Random } from './random.js';
import type { Reference, TrainingState } from './reference.js';
import { HEARTBEAT, type Scenario } from './scenario.js';
import type { FromWorker } from '../../src/simulation/wire.js';
import type { Wire } from './wire.js';

export interface CoordinatorWorld {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly scenario: Scenario;
  readonly reference: Reference;
  readonly disk: Disk;
  newSession(): string;
  decided(process: CoordinatorProcess, action: CoordinatorAction): void;
  /** What the disk tells it. */
  heard(event: CoordinatorEvent): void;
  /** Something does not hold. Thrown where a checkpoint's end is handled, it would be a checkpoint that failed. */
  violated(error: unknown): void;
  faulted(session: string, reason: string): void;
  finished(process: CoordinatorProcess, saved: boolean): void;
  isSuperseded(process: CoordinatorProcess): boolean;
  /** It cannot go on; somebody has to do something. */
  failed(process: CoordinatorProcess, message: string): void;
}

const TICK_MS = 250;
export const RENEWAL_MS = 2000;
const INSIDE = { base: 0.02, spike: 200, spikes: 0.002 };

export class CoordinatorProcess extends Process {
  readonly slices: readonly Slice[];
  readonly host: CoordinatorHost;
  /** The connections to it, by peer. */
  readonly wires = new Map<string, Wire>();
  private readonly lanes = new Map<number, Pipe<() => void>>();
  private readonly openSessions: Set<string>[];
  readonly invariants: Invariants;
  /** Decisions that it will still carry out before it dies in the middle of them. */
  private decisionsLeft = Infinity;

  constructor(
    readonly holding: Holding,
    start: TrainingState,
    isSaved: boolean,
    private readonly world: CoordinatorWorld,
  ) {
    super(`coordinator${holding.term}`, world.clock);
    const { term } = holding;
    const { scenario, reference, disk } = world;
    const { grid, undecayed, wire } = scenario;
    const memory = {
      parameters: start.parameters.slice(),
      moment1: start.moment1.slice(),
      moment2: start.moment2.slice(),
    };
    this.slices = grid.slices(scenario.reducers);
    this.openSessions = this.slices.map(() => new Set());
    const { version } = start.progress;
    this.invariants = new Invariants(scenario, reference, term, this.slices, memory.parameters, version);
    const setup = {
      term,
      job: nominalJob({ microBatches: scenario.tree.leaves, wire: scenario.wire, heartbeat: HEARTBEAT }),
      options: { ...scenario.options, reducers: this.slices.length },
      progress: start.progress,
      isSaved,
      slices: this.slices,
      reducer: { grid, undecayed, wire, arithmetic, ...memory },
    };
    const writer = this.createWriter(memory);
    this.host = new CoordinatorHost(setup, {
      now: () => this.now(),
      send: (_, peer, message, payload) => {
        const wire = this.wires.get(peer);
        if (this.isAlive && wire?.isOpen) wire.down.send(message, payload);
      },
      pass: (from, to, deliver) => this.pass(from, to, deliver),
      newSession: () => world.newSession(),
      snapshot: (version) => {
        disk.hasNews = true;
        writer.snapshot(version);
      },
      publish: (progress, validationLoss) => {
        disk.hasNews = true;
        writer.publish(progress, validationLoss);
      },
      finished: (saved) => world.finished(this, saved),
      failed: (message) => world.failed(this, message),
      decided: (action) => this.decided(action),
      reducing: (reducer, event) => {
        const open = this.openSessions[reducer]!;
        if (event.type === 'open') open.add(event.session);
        if (event.type === 'close') open.delete(event.session);
        const { sums } = this.host.reducers[reducer]!.state;
        const { firstChunk } = this.slices[reducer]!;
        this.invariants.reducing(
          event,
          (session) => open.has(session),
          (chunk) => sums[chunk - firstChunk],
        );
      },
      speaking: (session, message) => this.invariants.speaking(session, message),
      reduced: (reducer, event) => this.invariants.reduced(reducer, event, this.host),
      faulted: (session, reason) => world.faulted(session, reason),
    });
    this.host.start();
    this.every(TICK_MS, () => this.host.decide({ type: 'tick' }));
    if (scenario.takeovers) this.renewTerm();
  }

  hear(endpoint: number, peer: string, message: FromWorker, payload: Uint8Array): void {
    const received = { ...message, payload };
    if (endpoint === CONTROL)
      this.host.hearControl(peer, received as Parameters<CoordinatorHost['hearControl']>[1]);
    else this.host.hearData(endpoint, peer, received as Parameters<CoordinatorHost['hearData']>[2]);
  }

  /** An owner that renews its term looks whether it still is the owner, and ends when it is not. */
  private renewTerm(): void {
    this.after(RENEWAL_MS, () => {
      this.renewTerm();
      if (!this.world.isSuperseded(this)) return; // it would find nothing, at length
      checkTerm(this.world.disk, this, this.holding).catch(() => undefined);
    });
  }

  /** SIGTERM: finish the step, save, end. */
  stop(): void {
    this.run(() => this.host.decide({ type: 'stop' }));
  }

  /** It will die after so many more decisions, in the middle of what follows from one event. */
  dieAfter(decisions: number): void {
    this.decisionsLeft = decisions;
  }

  private decided(action: CoordinatorAction): void {
    if (!this.isAlive) return;
    try {
      this.invariants.decided(action, this.host);
    } catch (error) {
      this.world.violated(error);
      throw error;
    }
    this.world.decided(this, action);
    if (--this.decisionsLeft < 0) this.kill();
  }

  private pass(from: number, to: number, deliver: () => void): void {
    if (!this.isAlive) return;
    const key = from === CONTROL ? to : -2 - from;
    let lane = this.lanes.get(key);
    if (!lane) {
      const { clock, random } = this.world;
      const receiver = { process: this, hear: (body: () => void) => body(), lost: () => undefined };
      lane = new Pipe(clock, random, receiver, INSIDE, () => false);
      this.lanes.set(key, lane);
    }
    lane.send(deliver, NOTHING);
  }

  private createWriter(memory: Omit<TrainingState, 'progress'>): CheckpointWriter {
    const { scenario, disk } = this.world;
    return checkpointWriter({
      scenario,
      disk,
      process: this,
      holding: this.holding,
      memory,
      slices: this.slices,
      toReducer: (reducer, body) => this.pass(CONTROL, reducer, body),
      fromReducer: (reducer, body) => this.pass(reducer, CONTROL, body),
      decide: (event) => {
        if (!this.isAlive) return;
        this.world.heard(event);
        this.host.decide(event);
      },
    });
  }
}
