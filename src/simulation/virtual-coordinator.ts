// The coordinator's process of a simulated cluster: its state machines and its reducers' on threads that cost time. The vector
// has one element for each chunk of the real one, so that a thousand workers' gradients fit into memory; messages and
// computations take what the real sizes would.
import type { CoordinatorAction } from '../coordinator/events.js';
import type { Arithmetic } from '../coordinator/reducer/arithmetic.js';
import type { Received, WorkerToCoordinator, WorkerToReducer } from '../protocol/messages.js';
import type { VirtualClock } from './clock.js';
import { CONTROL, CoordinatorHost } from './coordinator-host.js';
import { nominalJob } from './nominal-job.js';
import { HEARTBEAT, HEARTBEATS_AT_ONCE, type ClusterPlan, type Grids } from './plan.js';
import { Cores, Thread } from './resources.js';
import type { FromWorker, ToWorker } from './wire.js';

/** As in coordinator/process.ts. */
const TICK_MS = 100;
/** Nothing of it shows: every number is zero. */
const OPTIMIZER = {
  learningRate: 0.001,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-9,
  weightDecay: 0,
  clipNorm: 1,
  schedule: { kind: 'constant', warmupSteps: 1 },
} as const;

export interface CoordinatorWorld {
  readonly clock: VirtualClock;
  readonly plan: ClusterPlan;
  readonly grids: Grids;
  /** A message leaves the process. */
  send(endpoint: number, peer: string, message: ToWorker, payload: Uint8Array): void;
  decided(action: CoordinatorAction): void;
}

export class VirtualCoordinator {
  readonly main: Thread;
  readonly reducers: readonly Thread[];
  private readonly host: CoordinatorHost;
  private sessions = 0;

  constructor(private readonly world: CoordinatorWorld) {
    const { clock, plan, grids } = world;
    const cores = new Cores(plan.cores);
    const slices = grids.simulated.slices(plan.reducers);
    this.main = new Thread(clock, cores);
    this.reducers = slices.map(() => new Thread(clock, cores));
    const zeros = (): Float32Array => new Float32Array(grids.simulated.total);
    const setup = {
      term: 1,
      job: nominalJob({ microBatches: plan.microBatches, wire: plan.wire, heartbeat: HEARTBEAT }),
      options: {
        steps: Number.MAX_SAFE_INTEGER,
        microBatches: plan.microBatches,
        reducers: slices.length,
        optimizer: OPTIMIZER,
        evaluate: { every: Number.MAX_SAFE_INTEGER, batches: 0 },
        checkpointEvery: Number.MAX_SAFE_INTEGER,
        audit: { share: 0, key: '', action: 'expel' },
        maxSkips: 1,
        nameOfParameter: String,
        hardware: 'strict',
        heartbeat: HEARTBEAT,
      },
      progress: { version: 0, updates: 0, tokens: 0, best: null, fingerprint: null, expelled: [] },
      isSaved: true,
      slices,
      reducer: {
        grid: grids.simulated,
        undecayed: [],
        wire: plan.wire,
        arithmetic: NO_ARITHMETIC,
        parameters: zeros(),
        moment1: zeros(),
        moment2: zeros(),
      },
    } as const;
    const nothing = (): void => undefined;
    this.host = new CoordinatorHost(setup, {
      now: () => clock.now,
      send: (endpoint, peer, message, payload) =>
        this.threadOf(endpoint).leave(() => world.send(endpoint, peer, message, payload)),
      pass: (from, to, deliver) =>
        this.threadOf(from).leave(() =>
          this.threadOf(to).run(to === CONTROL ? plan.costs.messageMs : 0, deliver),
        ),
      newSession: () => `session-${this.sessions++}`,
      snapshot: nothing,
      publish: nothing,
      finished: nothing,
      failed: (message) => {
        throw new Error(`the run cannot go on: ${message}`);
      },
      decided: world.decided.bind(world),
      reducing: (reducer, event) => {
        if (event.type === 'commit') this.reducers[reducer]!.spend(this.updateMs(reducer));
      },
      speaking: nothing,
      reduced: nothing,
      faulted: (session, reason) => {
        throw new Error(`${session} ${reason}`);
      },
    });
  }

  start(): void {
    const { clock } = this.world;
    this.host.start();
    const tick = (): void => {
      this.main.run(0, () => this.host.decide({ type: 'tick' }));
      clock.after(TICK_MS, tick);
    };
    clock.after(TICK_MS, tick);
  }

  /** A message has come out of the network. */
  hear(endpoint: number, peer: string, message: FromWorker, payload: Uint8Array): void {
    const { plan, grids } = this.world;
    const { messageMs, addedPerSecond } = plan.costs;
    const received = { ...message, payload };
    if (endpoint === CONTROL) {
      const messages = message.type === 'heartbeat' ? HEARTBEATS_AT_ONCE : 1;
      this.main.run(messages * messageMs, () =>
        this.host.hearControl(peer, received as Received<WorkerToCoordinator>),
      );
      return;
    }
    const elements = message.type === 'chunk' ? grids.real.gradientElements(message.chunk) : 0;
    this.reducers[endpoint]!.run((elements / addedPerSecond) * 1000, () =>
      this.host.hearData(endpoint, peer, received as Received<WorkerToReducer>),
    );
  }

  private threadOf(endpoint: number): Thread {
    return endpoint === CONTROL ? this.main : this.reducers[endpoint]!;
  }

  private updateMs(reducer: number): number {
    const { grids, plan } = this.world;
    const { firstChunk, endChunk } = this.host.setup.slices[reducer]!;
    const elements = Math.min(grids.real.start(endChunk), grids.real.total) - grids.real.start(firstChunk);
    return (elements / plan.costs.updatedPerSecond) * 1000;
  }
}

/** Sums and updates are not carried out: their time is what counts. */
const NO_ARITHMETIC: Arithmetic = {
  add: () => undefined,
  sumOfSquares: () => 1,
  adamW: () => undefined,
  settle: () => undefined,
  unpackBfloat16: () => undefined,
};
