// A simulated worker process: the real state machine, two gradient and two parameter buffers, and a compute thread
// that advances a little whenever it is its turn. A sent chunk is read from its buffer when it arrives, as late as
// ZeroMQ may, so that a buffer used again too early shows.
import assert from 'node:assert/strict';
import type { NodeId, ReducerToWorker, WorkerToReducer } from '../../src/protocol/messages.js';
import type { Slice } from '../../src/protocol/chunks.js';
import { GradientSum } from '../../src/worker/compute/gradient-sum.js';
import {
  GRADIENT_BUFFERS,
  PARAMETER_BUFFERS,
  type Task,
  type WorkerAction,
  type WorkerEvent,
} from '../../src/worker/events.js';
import { WorkerMachine } from '../../src/worker/worker.js';
import { arithmetic, bitsOf, packBfloat16 } from './arithmetic.js';
import type { Random } from './random.js';
import { gradientOf, statsOf, type Scenario } from './scenario.js';

export interface WorkerSurroundings {
  readonly scenario: Scenario;
  readonly random: Random;
  now(): number;
  /** Bits of the parameters of a version, as the undisturbed run has them. */
  expected(version: number): string | undefined;
  toReducer(reducer: number, message: WorkerToReducer, payload: () => Uint8Array): void;
  toCoordinator(action: WorkerAction & { type: 'tell' }): void;
  /** Something inside the process arrives later, in the order of its lane. */
  later(lane: string, deliver: () => void): void;
}

export class WorkerNode {
  private readonly machine: WorkerMachine;
  private readonly parameters: readonly Float32Array[];
  private readonly gradients: readonly Float32Array[];
  /** Chunks of gradient buffers that were sent and not yet received. */
  private readonly underWay = new Set<string>();
  private readonly sum: GradientSum;
  private thread: Iterator<void, void> | undefined;
  /** Probability that the compute thread uses its turn; 0: it hangs, while the process lives on. */
  private speed: number;
  private computing: { slot: number } | undefined;
  private cancelledId = 0;
  private nextTaskId = 1;
  private incoming: Uint8Array = new Uint8Array(0);

  constructor(
    readonly session: string,
    readonly term: number,
    slices: readonly Slice[],
    private readonly around: WorkerSurroundings,
  ) {
    const { grid, tree, wire } = around.scenario;
    const vectors = (count: number, length: number): Float32Array[] =>
      Array.from({ length: count }, () => new Float32Array(length).fill(NaN));
    this.machine = new WorkerMachine(slices, 8);
    this.speed = around.random.chance(0.2) ? 0.02 : 1;
    this.parameters = vectors(PARAMETER_BUFFERS, grid.total);
    this.gradients = vectors(GRADIENT_BUFFERS, grid.trainable);
    this.sum = new GradientSum({ tree, elements: grid.trainable, wire, arithmetic });
  }

  /** Whether the compute thread has something to do. */
  get isComputing(): boolean {
    return this.thread !== undefined && this.speed > 0;
  }

  get isHung(): boolean {
    return this.speed === 0;
  }

  hang(): void {
    this.speed = 0;
  }

  /** The compute thread's turn. */
  compute(): void {
    if (this.around.random.chance(this.speed) && this.thread?.next().done) this.thread = undefined;
  }

  lease(node: NodeId): void {
    this.take({ kind: 'node', id: this.nextTaskId++, version: node.step, node });
  }

  evaluate(version: number, index: number): void {
    this.take({ kind: 'evaluation', id: this.nextTaskId++, version, index });
  }

  recall(node: NodeId): void {
    this.handle({ type: 'recall', node });
  }

  hear(reducer: number, message: ReducerToWorker, payload: Uint8Array): void {
    this.incoming = payload;
    if (message.type === 'parameters') this.handle({ ...message, reducer });
    else if (message.type === 'grant')
      this.handle({ type: 'grant', reducer, node: message, chunks: message.chunks });
    else if (message.type === 'done') this.handle({ type: 'done', reducer, node: message });
  }

  private take(task: Task): void {
    this.handle({ type: 'lease', task });
    this.around.later(`batches ${task.id}`, () => this.handle({ type: 'prepared', id: task.id }));
  }

  private handle(event: WorkerEvent): void {
    for (const action of this.machine.handle(event, this.around.now())) this.perform(action);
  }

  private perform(action: WorkerAction): void {
    const { grid } = this.around.scenario;
    switch (action.type) {
      case 'pull':
      case 'received':
      case 'offer':
      case 'withdraw': {
        const { reducer, ...rest } = action;
        const body = 'node' in rest ? { ...rest.node, type: rest.type } : rest;
        const message = { ...body, session: this.session, term: this.term } as WorkerToReducer;
        this.around.toReducer(reducer, message, () => new Uint8Array(0));
        break;
      }
      case 'sendChunk':
        this.sendChunk(action);
        break;
      case 'store':
        assert.notEqual(
          action.slot,
          this.computing?.slot,
          'parameters are overwritten that are computed with',
        );
        new Uint8Array(this.parameters[action.slot]!.buffer).set(this.incoming, grid.start(action.chunk) * 4);
        break;
      case 'compute':
        assert.equal(this.thread, undefined, 'one computation at a time');
        this.thread = this.run(action);
        break;
      case 'cancel':
        this.cancelledId = action.id;
        break;
      case 'tell':
        this.around.toCoordinator(action);
        break;
      case 'pulled':
      case 'drop':
        break;
      default:
        action satisfies never;
    }
  }

  private sendChunk({ reducer, node, chunk, buffer }: WorkerAction & { type: 'sendChunk' }): void {
    const { grid, wire } = this.around.scenario;
    const start = grid.start(chunk);
    const values = this.gradients[buffer]!.subarray(start, start + grid.gradientElements(chunk));
    this.underWay.add(`${buffer}/${chunk}`);
    const packed = wire === 'bfloat16' ? packBfloat16(values) : undefined;
    const { step, round, level, index } = node;
    const message = {
      type: 'chunk',
      session: this.session,
      term: this.term,
      step,
      round,
      level,
      index,
      chunk,
    } as const;
    this.around.toReducer(reducer, message, () => {
      this.underWay.delete(`${buffer}/${chunk}`);
      return packed
        ? new Uint8Array(packed.buffer)
        : new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    });
  }

  // ---- the compute thread

  private *run({ task, slot, buffer }: WorkerAction & { type: 'compute' }): Generator<void, void> {
    const { scenario } = this.around;
    this.computing = { slot };
    const expected = this.around.expected(task.version);
    if (expected !== undefined)
      assert.equal(bitsOf(this.parameters[slot]!), expected, 'the parameters of the lease');
    yield;
    const stats =
      task.kind === 'evaluation'
        ? [statsOf(scenario, -1, task.index)]
        : yield* this.computeNode(task.id, task.node, slot, buffer);
    this.computing = undefined;
    const { id } = task;
    if (stats) this.later({ type: 'computed', id, stats, seconds: 2 - this.speed });
    else this.later({ type: 'cancelled', id });
  }

  private *computeNode(id: number, node: NodeId, slot: number, buffer: number) {
    const { scenario, random } = this.around;
    const { grid, tree } = scenario;
    const { start, end } = tree.range(node);
    const descending = Array.from({ length: grid.gradientChunks }, (_, i) => grid.gradientChunks - 1 - i);
    this.sum.reset();
    for (let leaf = start; leaf < end; leaf++) {
      if (this.cancelledId === id) return undefined;
      const isLast = leaf === end - 1;
      this.sum.beginLeaf(leaf, isLast, this.gradients[buffer]!);
      for (const chunk of random.chance(0.2) ? random.shuffle(descending) : descending) {
        if (isLast)
          assert.ok(!this.underWay.has(`${buffer}/${chunk}`), 'a gradient is overwritten on its way');
        this.writeChunk(node, leaf, chunk, slot);
        if (isLast) this.later({ type: 'chunkReady', id, chunk });
        if (random.chance(0.5)) yield;
      }
      this.sum.endLeaf();
      yield;
    }
    return Array.from({ length: end - start }, (_, i) => statsOf(scenario, node.step, start + i));
  }

  private writeChunk({ step, round }: NodeId, leaf: number, chunk: number, slot: number): void {
    const { scenario } = this.around;
    const offset = scenario.grid.start(chunk);
    const size = scenario.grid.gradientElements(chunk);
    const gradient = Float32Array.from({ length: size }, (_, i) =>
      gradientOf(scenario, { step, round, leaf, element: offset + i }, this.parameters[slot]![offset + i]!),
    );
    this.sum.write(offset, size, gradient);
  }

  private later(event: WorkerEvent): void {
    this.around.later('compute', () => this.handle(event));
  }
}
