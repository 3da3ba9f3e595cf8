// A simulated compute thread: real gradients of a toy model, added by the real GradientSum, in virtual time. It holds the
// buffers of parameters and gradients, and sees when one is written that is still read.
import assert from 'node:assert/strict';
import { hostGradients } from '../../src/engine/gradient-memory.js';
import type { NodeId } from '../../src/protocol/node-id.js';
import type { BatchStats } from '../../src/protocol/stats.js';
import { GradientSum } from '../../src/worker/compute/gradient-sum.js';
import { GRADIENT_BUFFERS, PARAMETER_BUFFERS, type Task } from '../../src/worker/events.js';
import { arithmetic, isPartOf, packBfloat16 } from './arithmetic.js';
import type { Process } from './process.js';
import { hashed, type Random } from './random.js';
import type { Reference } from './reference.js';
import { gradientOf, statsOf, type Scenario } from './scenario.js';

/** What the thread tells the rest of its process, in order. */
export interface ComputeListener {
  chunkReady(id: number, chunk: number): void;
  computed(id: number, stats: readonly BatchStats[], seconds: number): void;
  cancelled(id: number): void;
}

interface Running {
  readonly task: Task;
  readonly slot: number;
  readonly buffer: number;
  readonly startedAt: number; // ms
}

const NO_STEP = -1;

export class ComputeThread {
  /** Against the scenario's time of a micro-batch. */
  slowness = 1;
  /** It computes for ever, while the rest of the process lives on. */
  hangs = false;
  /** Not 0: some of its numbers are wrong, and no other's are wrong alike. */
  error = 0;
  private readonly parameters: readonly Float32Array[];
  private readonly gradients: readonly Float32Array[];
  private readonly sum: GradientSum;
  private readonly scratch: Float32Array;
  private running: Running | undefined;
  private cancelledId = 0;
  private closed = false;

  constructor(
    private readonly scenario: Scenario,
    private readonly reference: Reference,
    private readonly process: Process,
    private readonly random: Random,
    private readonly listener: ComputeListener,
  ) {
    const { grid, tree, wire } = scenario;
    const vectors = (count: number, length: number): Float32Array[] =>
      Array.from({ length: count }, () => new Float32Array(length).fill(NaN));
    this.parameters = vectors(PARAMETER_BUFFERS, grid.total);
    this.gradients = vectors(GRADIENT_BUFFERS, grid.trainable);
    this.sum = new GradientSum({ tree, elements: grid.trainable, wire, memory: hostGradients(arithmetic) });
    this.scratch = new Float32Array(grid.chunkElements);
  }

  store(slot: number, chunk: number, bytes: Uint8Array): void {
    assert.notEqual(slot, this.running?.slot, 'parameters are overwritten that are computed with');
    new Uint8Array(this.parameters[slot]!.buffer).set(bytes, this.scenario.grid.start(chunk) * 4);
  }

  chunkOf(buffer: number, chunk: number): Uint8Array {
    const { grid, wire } = this.scenario;
    const start = grid.start(chunk);
    const values = this.gradients[buffer]!.subarray(start, start + grid.gradientElements(chunk));
    if (wire === 'bfloat16') return new Uint8Array(packBfloat16(values).buffer);
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }

  start(task: Task, slot: number, buffer: number): void {
    assert.equal(this.running, undefined, 'one computation at a time');
    this.running = { task, slot, buffer, startedAt: this.process.now() };
    const { states } = this.reference;
    const expected = states[task.version]!.parameters;
    assert.ok(isPartOf(this.parameters[slot]!, expected, 0), 'a lease is computed with its parameters');
    this.sum.reset();
    if (task.kind === 'evaluation')
      this.later(0.4, () => this.finish([statsOf(this.scenario, NO_STEP, task.index)]));
    else this.computeLeaf(task.node, this.scenario.tree.range(task.node).start);
  }

  cancel(id: number): void {
    this.cancelledId = id;
  }

  /** Its session is over. */
  close(): void {
    this.closed = true;
  }

  /** After a part of the time that a micro-batch takes. */
  private later(part: number, body: () => void): void {
    const ms = part * this.scenario.microBatchMs * this.slowness * (0.8 + 0.4 * this.random.next());
    this.process.after(ms, () => {
      if (!this.closed && !this.hangs) body();
    });
  }

  private computeLeaf(node: NodeId, leaf: number): void {
    const { grid, tree } = this.scenario;
    if (this.wasCancelled()) return;
    const isLast = leaf === tree.range(node).end - 1;
    const chunks = grid.gradientChunks;
    if (isLast) {
      this.sum.beginLeaf(leaf, true, this.gradients[this.running!.buffer]!);
      this.later(0.5, () => this.finishChunks(node, leaf, chunks - 1));
      return;
    }
    this.later(1, () => {
      this.sum.beginLeaf(leaf, false, this.gradients[this.running!.buffer]!);
      for (let chunk = chunks - 1; chunk >= 0; chunk--) this.writeChunk(node, leaf, chunk);
      this.sum.endLeaf();
      this.computeLeaf(node, leaf + 1);
    });
  }

  /** The last micro-batch's backward: from the end of the vector to its start, some chunks at a time. */
  private finishChunks(node: NodeId, leaf: number, from: number): void {
    if (this.wasCancelled()) return;
    const { gradientChunks } = this.scenario.grid;
    const count = Math.ceil((gradientChunks * (1 + this.random.below(3))) / 4);
    const end = Math.max(-1, from - count);
    for (let chunk = from; chunk > end; chunk--) {
      this.writeChunk(node, leaf, chunk);
      this.listener.chunkReady(this.running!.task.id, chunk);
    }
    if (end >= 0) {
      this.later(0.2, () => this.finishChunks(node, leaf, end));
      return;
    }
    this.sum.endLeaf();
    const { start, end: stop } = this.scenario.tree.range(node);
    const stats = Array.from({ length: stop - start }, (_, i) =>
      statsOf(this.scenario, node.step, start + i),
    );
    this.finish(stats);
  }

  private writeChunk({ step, round }: NodeId, leaf: number, chunk: number): void {
    const { grid } = this.scenario;
    const parameters = this.parameters[this.running!.slot]!;
    const offset = grid.start(chunk);
    const size = grid.gradientElements(chunk);
    for (let i = 0; i < size; i++) {
      const element = offset + i;
      this.scratch[i] = gradientOf(this.scenario, step, round, leaf, element, parameters[element]!);
    }
    if (this.error !== 0 && hashed(step, leaf, this.error) < 0.5) {
      const element = Math.floor(hashed(leaf, this.error) * grid.trainable) - offset;
      if (element >= 0 && element < size) this.scratch[element] = -this.scratch[element]! - this.error;
    }
    this.sum.write(offset, size, this.scratch.subarray(0, size));
  }

  private wasCancelled(): boolean {
    const { id } = this.running!.task;
    if (this.cancelledId !== id) return false;
    this.running = undefined;
    this.listener.cancelled(id);
    return true;
  }

  private finish(stats: readonly BatchStats[]): void {
    const { task, startedAt } = this.running!;
    this.running = undefined;
    this.listener.computed(task.id, stats, Math.max(0.001, (this.process.now() - startedAt) / 1000));
  }
}
