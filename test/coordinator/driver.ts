// A coordinator's state machine with hands: says what workers and reducers say, and remembers what was decided.
import { Coordinator } from '../../src/coordinator/coordinator.js';
import type {
  CoordinatorAction,
  CoordinatorEvent,
  CoordinatorOptions,
  Progress,
} from '../../src/coordinator/events.js';
import { NOTHING_DONE } from '../../src/protocol/messages.js';
import type { NodeId } from '../../src/protocol/node-id.js';
import type { BatchStats } from '../../src/protocol/stats.js';
import { ReductionTree } from '../../src/protocol/tree.js';

export const OPTIONS: CoordinatorOptions = {
  steps: 100,
  microBatches: 8,
  reducers: 2,
  optimizer: {
    learningRate: 0.5,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-9,
    weightDecay: 0.01,
    clipNorm: null,
    schedule: { kind: 'constant', warmupSteps: 0 },
  },
  evaluate: { every: 1000, batches: 3 },
  checkpointEvery: 1000,
  audit: { share: 0, key: 'secret', action: 'expel' },
  maxSkips: 10,
  nameOfParameter: (element) => `parameter${element}`,
  hardware: 'strict',
  heartbeat: { intervalMs: 1000, timeoutMs: 5000 },
};

export const START: Progress = {
  version: 0,
  updates: 0,
  tokens: 0,
  best: null,
  fingerprint: null,
  expelled: [],
};

export const STATS: BatchStats = { loss: 3, tokens: 2, correct: 1, sourceTokens: 5 };

type ActionOf<T extends CoordinatorAction['type']> = CoordinatorAction & { type: T };

export interface HeldLease {
  readonly session: string;
  readonly node: NodeId;
}

export class Driver {
  readonly machine: Coordinator;
  readonly options: CoordinatorOptions;
  readonly tree: ReductionTree;
  now = 1000;
  /** How long a worker computes a micro-batch; 1 where nothing is said. */
  secondsPerBatch: Readonly<Record<string, number>> = {};
  /** Leases given out and not yet completed, recalled or lost, in order. */
  leases: HeldLease[] = [];
  private readonly all: CoordinatorAction[] = [];

  constructor(options: Partial<CoordinatorOptions> = {}, progress: Partial<Progress> = {}, isSaved = false) {
    this.options = { ...OPTIONS, ...options };
    this.tree = new ReductionTree(this.options.microBatches);
    this.machine = new Coordinator(this.options, { ...START, ...progress }, isSaved);
    this.note(this.machine.start(this.now));
  }

  say(event: CoordinatorEvent): CoordinatorAction[] {
    const actions = this.machine.handle(event, this.now);
    this.note(actions);
    return actions;
  }

  /** Every action of a type so far. */
  every<T extends CoordinatorAction['type']>(type: T): ActionOf<T>[] {
    return this.all.filter((action): action is ActionOf<T> => action.type === type);
  }

  last<T extends CoordinatorAction['type']>(type: T): ActionOf<T> | undefined {
    return this.every(type).at(-1);
  }

  join(...sessions: readonly string[]): void {
    for (const session of sessions) this.joinAs(session, session);
  }

  /** A worker of this name under a session of its own. */
  joinAs(name: string, session: string): void {
    this.say({ type: 'hello', session, name, host: 'here', key: null });
    this.say({ type: 'ready', session, fingerprint: 'same' });
  }

  leave(session: string): void {
    this.leases = this.leases.filter((lease) => lease.session !== session);
    this.say({ type: 'gone', session, reason: 'disconnected', detail: 'killed' });
  }

  computed({ session, node }: HeldLease, stats: BatchStats = STATS): void {
    const { start, end } = this.tree.range(node);
    const all = Array.from({ length: end - start }, () => stats);
    const seconds = (end - start) * (this.secondsPerBatch[session] ?? 1);
    this.say({ type: 'computed', session, node, stats: all, seconds });
  }

  /** All reducers have the node's micro-batches. */
  covered(node: NodeId): void {
    const { start, end } = this.tree.range(node);
    const leaves = Array.from({ length: end - start }, (_, i) => start + i);
    for (let i = 0; i < this.options.reducers; i++) this.say({ type: 'covered', ...node, leaves });
  }

  roots(blockSums: readonly (readonly number[])[] = [], round = 0): void {
    const step = this.machine.state.progress.version;
    for (let reducer = 0; reducer < this.options.reducers; reducer++) {
      const sums = Float64Array.from(blockSums[reducer] ?? [1]);
      this.say({ type: 'root', reducer, step, round, blockSums: sums, nonFinite: null });
    }
  }

  /** Completes whatever is leased until the step's tree is covered and all roots are told. */
  finishStep(stats: BatchStats = STATS, blockSums: readonly (readonly number[])[] = [], round = 0): void {
    for (let lease = this.leases.shift(); lease; lease = this.leases.shift()) {
      this.computed(lease, stats);
      this.covered(lease.node);
    }
    this.roots(blockSums, round);
  }

  /** Silence of everything but the clock, in ticks; the named sessions' heartbeats go on. */
  wait(milliseconds: number, ...alive: readonly string[]): void {
    for (const end = this.now + milliseconds; this.now < end;) {
      this.now += 250;
      for (const session of alive) this.heartbeat(session);
      this.say({ type: 'tick' });
    }
  }

  heartbeat(session: string): void {
    this.say({ type: 'heartbeat', session, sequence: 1, report: NOTHING_DONE });
  }

  rangeOf(lease: HeldLease | undefined): [number, number] | undefined {
    const range = lease && this.tree.range(lease.node);
    return range && [range.start, range.end];
  }

  private note(actions: readonly CoordinatorAction[]): void {
    this.all.push(...actions);
    for (const action of actions) {
      if (action.type === 'lease') this.leases.push(action);
      if (action.type === 'recall' || action.type === 'dismiss') {
        this.leases = this.leases.filter(
          ({ session, node }) =>
            session !== action.session ||
            (action.type === 'recall' &&
              (node.level !== action.node.level || node.index !== action.node.index)),
        );
      }
      if (action.type === 'begin') this.leases = [];
    }
  }
}
