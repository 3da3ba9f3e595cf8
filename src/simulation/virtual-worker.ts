// A worker of a simulated cluster: its state machine, and a compute thread that takes its time and computes nothing.
import { bytesPerElement } from '../protocol/job.js';
import type { BatchStats } from '../protocol/stats.js';
import { ReductionTree } from '../protocol/tree.js';
import { Conversation } from '../worker/conversation.js';
import type { Task } from '../worker/events.js';
import type { VirtualClock } from './clock.js';
import { BARE, ENGINE, helloOf, PROBE } from './bare-worker.js';
import { CONTROL, NOTHING } from './coordinator-host.js';
import { HEARTBEAT, type ClusterPlan, type Grids } from './plan.js';
import type { FromWorker, ToWorker } from './wire.js';

/** The part of a micro-batch's time that the backward takes. One chunk after another becomes final in the last one's. */
export const BACKWARD = 2 / 3;
const STATS: BatchStats = { loss: 1, tokens: 1, correct: 0, sourceTokens: 1 };

export interface WorkerWorld {
  readonly clock: VirtualClock;
  readonly plan: ClusterPlan;
  readonly grids: Grids;
  connect(worker: VirtualWorker, endpoint: number): void;
  send(worker: VirtualWorker, endpoint: number, message: FromWorker, payload: Uint8Array): void;
}

export class VirtualWorker {
  private readonly conversation: Conversation;
  private readonly tree: ReductionTree;
  private running = 0;
  private readonly chunk: Uint8Array;
  computeMs = 0;

  constructor(
    readonly name: string,
    private readonly world: WorkerWorld,
  ) {
    const { clock, plan, grids } = world;
    this.tree = new ReductionTree(plan.microBatches);
    this.chunk = new Uint8Array(bytesPerElement(plan.wire));
    world.connect(this, CONTROL);
    this.conversation = new Conversation({
      ...BARE,
      now: () => clock.now,
      tell: (message, payload = NOTHING) => world.send(this, CONTROL, message, payload),
      connect: (reducer) => world.connect(this, reducer),
      send: (reducer, message, payload = NOTHING) => world.send(this, reducer, message, payload),
      begin: () => {
        clock.after(0, () => this.conversation.computeReady(ENGINE, PROBE));
        return grids.simulated;
      },
      prepare: (task) => clock.after(0, () => this.conversation.prepared(task.id)),
      compute: (task) => this.compute(task),
      cancel: (id) => clock.after(0, () => this.cancel(id)),
      store: () => undefined,
      chunkOf: () => this.chunk,
      ended: (_, reason) => {
        throw new Error(`${name} ended its session: ${reason}`);
      },
    });
    world.send(this, CONTROL, helloOf(name), NOTHING);
    const beat = (): void => {
      this.conversation.tick();
      clock.after(HEARTBEAT.intervalMs, beat);
    };
    clock.after(HEARTBEAT.intervalMs, beat);
  }

  /** A message has come out of the network. */
  hear(endpoint: number, message: ToWorker, payload: Uint8Array): void {
    const received = { ...message, payload } as never;
    if (endpoint === CONTROL) this.conversation.hear(received);
    else this.conversation.hearReducer(endpoint, received);
  }

  private compute(task: Task): void {
    if (task.kind !== 'node') throw new Error('nothing is evaluated here');
    const { clock, plan, grids } = this.world;
    const { start, end } = this.tree.range(task.node);
    const microBatches = end - start;
    const ms = microBatches * plan.microBatchMs;
    const startedAt = clock.now;
    this.running = task.id;
    const chunks = grids.simulated.gradientChunks;
    const firstMs = ms - BACKWARD * plan.microBatchMs;
    // The last chunk becomes final with the end of all.
    for (let i = 1; i <= chunks; i++) {
      clock.at(startedAt + firstMs + ((ms - firstMs) * i) / chunks, () => {
        if (this.running === task.id) this.conversation.chunkReady(task.id, chunks - i);
      });
    }
    clock.at(startedAt + ms, () => {
      if (this.running !== task.id) return;
      this.running = 0;
      this.computeMs += ms;
      // The state machine takes computing for free as no speed at all.
      const seconds = Math.max(ms / 1000, 1e-6);
      this.conversation.computed(task.id, Array<BatchStats>(microBatches).fill(STATS), seconds);
    });
  }

  private cancel(id: number): void {
    if (this.running !== id) return;
    this.running = 0;
    this.conversation.cancelled(id);
  }
}
