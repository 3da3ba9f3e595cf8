// A worker that computes nothing: the real state machine on real sockets, and timers where others compute. Hundreds fit into
// one process, which makes load on a coordinator that real workers would need a cluster for.
import { crc32 } from '../../src/engine/native/memory.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { bytesPerElement, type Job } from '../../src/protocol/job.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  reducerToWorker,
  type WorkerToCoordinator,
  type WorkerToReducer,
} from '../../src/protocol/messages.js';
import type { BatchStats } from '../../src/protocol/stats.js';
import { ReductionTree } from '../../src/protocol/tree.js';
import { BARE, ENGINE, helloOf, PROBE } from '../../src/simulation/bare-worker.js';
import { CONTROL } from '../../src/simulation/coordinator-host.js';
import { BACKWARD } from '../../src/simulation/virtual-worker.js';
import { DealerSocket } from '../../src/transport/dealer.js';
import { Conversation, type Welcome } from '../../src/worker/conversation.js';
import type { Task } from '../../src/worker/events.js';

/** Nobody is given up while a busy machine measures. */
const SOCKET_TIMEOUT_MS = 60_000;
const STATS: BatchStats = { loss: 1, tokens: 1, correct: 0, sourceTokens: 1 };

export interface SocketWorkerOptions {
  readonly url: string;
  readonly name: string;
  /** What it pretends to compute on a micro-batch. */
  readonly microBatchMs: number;
  /** It has been leased a part of this step. */
  readonly leased?: (step: number) => void;
}

export class SocketWorker {
  /** Why its session ended; not when it was closed here. */
  readonly ended: Promise<string>;
  private readonly sockets = new Map<number, DealerSocket>();
  private readonly conversation: Conversation;
  private readonly timer: NodeJS.Timeout;
  private welcome!: Welcome;
  private grid!: ChunkGrid;
  private tree!: ReductionTree;
  private zeros = new Uint8Array(0);
  private readonly crcs = new Map<number, number>(); // of zeros, by length
  private running = 0;

  constructor(private readonly options: SocketWorkerOptions) {
    const { name, url } = options;
    let end!: (reason: string) => void;
    this.ended = new Promise((resolve) => (end = resolve));
    void this.ended.then(() => this.close());
    this.connect(CONTROL, url);
    this.conversation = new Conversation({
      ...BARE,
      now: () => performance.now(),
      tell: (message, payload) => this.send(CONTROL, message, payload),
      connect: (reducer) => this.connect(reducer, this.welcome.reducers[reducer]!.url),
      send: (endpoint, message, payload) => this.send(endpoint, message, payload),
      begin: (welcome) => this.begin(welcome),
      prepare: (task) => setImmediate(() => this.conversation.prepared(task.id)),
      compute: (task) => this.compute(task),
      cancel: (id) => this.cancel(id),
      store: () => undefined,
      chunkOf: (_, chunk) => this.zeros.subarray(0, this.chunkBytes(chunk)),
      ended: (_, reason) => end(reason),
    });
    this.send(CONTROL, helloOf(name));
    this.timer = setInterval(() => this.conversation.tick(), 1000);
  }

  /** Once it has been leased something. */
  get parameters(): number {
    return this.grid.trainable;
  }

  close(): void {
    clearInterval(this.timer);
    for (const socket of this.sockets.values()) socket.close();
  }

  private connect(endpoint: number, url: string): void {
    const socket = new DealerSocket(url, SOCKET_TIMEOUT_MS, null);
    this.sockets.set(endpoint, socket);
    socket.open({
      message: (frames) => {
        if (endpoint === CONTROL) this.conversation.hear(decode(coordinatorToWorker, frames));
        else this.conversation.hearReducer(endpoint, decode(reducerToWorker, frames));
      },
      lost: (reason) => this.conversation.lost(reason),
    });
  }

  private send(endpoint: number, message: WorkerToCoordinator | WorkerToReducer, payload?: Uint8Array): void {
    const crc = payload && message.type === 'chunk' ? this.crcOf(payload) : undefined;
    this.sockets.get(endpoint)!.send(encode(message, payload, crc));
  }

  private crcOf(payload: Uint8Array): number {
    const crc = this.crcs.get(payload.length) ?? crc32(payload);
    this.crcs.set(payload.length, crc);
    return crc;
  }

  private begin(welcome: Welcome): ChunkGrid {
    this.welcome = welcome;
    this.grid = gridOf(welcome.job);
    this.tree = new ReductionTree(welcome.job.microBatches);
    this.zeros = new Uint8Array(this.grid.chunkElements * 4);
    setImmediate(() => this.conversation.computeReady(ENGINE, PROBE));
    return this.grid;
  }

  private chunkBytes(chunk: number): number {
    return this.grid.gradientElements(chunk) * bytesPerElement(this.welcome.job.wire);
  }

  /** As a simulated worker does: chunks become final one after another in the last micro-batch's backward. */
  private compute(task: Task): void {
    if (task.kind !== 'node') throw new Error('nothing is evaluated here');
    this.options.leased?.(task.node.step);
    const { start, end } = this.tree.range(task.node);
    const { microBatchMs } = this.options;
    const ms = (end - start) * microBatchMs;
    const chunks = this.grid.gradientChunks;
    this.running = task.id;
    for (let i = 1; i <= chunks; i++) {
      const at = ms - BACKWARD * microBatchMs * (1 - i / chunks);
      setTimeout(() => {
        if (this.running === task.id) this.conversation.chunkReady(task.id, chunks - i);
        if (i === chunks) this.finish(task.id, end - start, ms);
      }, at);
    }
  }

  private finish(id: number, microBatches: number, ms: number): void {
    if (this.running !== id) return;
    this.running = 0;
    this.conversation.computed(id, Array<BatchStats>(microBatches).fill(STATS), ms / 1000);
  }

  private cancel(id: number): void {
    if (this.running !== id) return;
    this.running = 0;
    setImmediate(() => this.conversation.cancelled(id));
  }
}

function gridOf({ model }: Job): ChunkGrid {
  const { trainable, total } = parameterLayout(model);
  return new ChunkGrid(trainable, total);
}
