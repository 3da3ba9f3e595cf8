// The computation behind a lease: forward and backward of a node's micro-batches, or the forward of an evaluation.
import type { Engine } from '../../engine/engine.js';
import type { Floats } from '../../engine/native/addon.js';
import type { OnFinal } from '../../engine/recording.js';
import type { Batch } from '../../model/batch.js';
import { evaluationLoss } from '../../model/evaluate.js';
import { ModelParameters, parameterLayout, type ParameterLayout } from '../../model/parameters.js';
import { Transformer } from '../../model/transformer.js';
import { ChunkGrid } from '../../protocol/chunks.js';
import type { Job } from '../../protocol/job.js';
import type { BatchStats } from '../../protocol/stats.js';
import { ReductionTree, type TreeNode } from '../../protocol/tree.js';
import { falsify, pause, type Fault } from './fault.js';
import { GradientSum } from './gradient-sum.js';
import { type Model, RepeatedGradients } from './repeated-gradients.js';

export interface TrainerOptions {
  readonly engine: Engine;
  readonly job: Job;
  /** [total] each: the buffers that versions of the parameters are pulled into. */
  readonly parameters: readonly Float32Array[];
  /** [trainable] each. */
  readonly gradients: readonly Float32Array[];
  readonly fault?: Fault | null;
}

/** Called while a node is computed: they compute nothing themselves, and do not throw. */
export interface NodeHandlers {
  /** A chunk of the node's gradient is final. */
  chunk(chunk: number): void;
  /** A micro-batch is finished. */
  progress(): void;
  /** Asked before each micro-batch; true ends the computation. */
  isCancelled(): boolean;
}

/** A model over one of the buffers, and the version that its tensors stand for. */
interface Slot {
  readonly model: Model;
  version: number;
}

export class Trainer {
  private readonly layout: ParameterLayout;
  private readonly grid: ChunkGrid;
  private readonly tree: ReductionTree;
  private readonly slots: readonly Slot[];
  private readonly sum: GradientSum;
  private readonly repeated: RepeatedGradients;

  constructor(private readonly options: TrainerOptions) {
    const { engine, job, parameters } = options;
    this.layout = parameterLayout(job.model);
    this.grid = new ChunkGrid(this.layout.trainable, this.layout.total);
    this.tree = new ReductionTree(job.microBatches);
    this.slots = parameters.map((flat) => {
      const views = new ModelParameters(engine, this.layout, flat);
      return { model: { parameters: views, transformer: new Transformer(job.model, views) }, version: -1 };
    });
    this.repeated = new RepeatedGradients(engine, job.labelSmoothing);
    this.sum = new GradientSum({
      tree: this.tree,
      elements: this.layout.trainable,
      wire: job.wire,
      memory: engine.gradients,
    });
  }

  /** The node's gradient, into gradient buffer `buffer`; undefined when it was cancelled. */
  computeNode(
    step: number,
    node: TreeNode,
    batches: readonly Batch[],
    slot: number,
    buffer: number,
    handlers: NodeHandlers,
  ): BatchStats[] | undefined {
    const { start, end } = this.tree.range(node);
    const model = this.modelAt(slot, step); // a step computes with the version of its number
    const { gradients } = this.options.engine;
    const host = this.options.gradients[buffer]!;
    const stats: BatchStats[] = [];
    this.sum.reset();
    for (let leaf = start; leaf < end; leaf++) {
      if (handlers.isCancelled()) return undefined;
      const isLast = leaf === end - 1;
      const memory = this.sum.beginLeaf(leaf, isLast, gradients.sourceOf(host));
      const deliver = (chunk: number): void => {
        const first = this.grid.start(chunk);
        gradients.deliver(host, first, first + this.grid.gradientElements(chunk), () =>
          handlers.chunk(chunk),
        );
      };
      const finals = new ChunkCounter(this.grid, isLast ? deliver : () => undefined);
      const at = { step, microBatch: leaf };
      stats.push(this.computeLeaf(model, memory, batches[leaf - start]!, at, finals));
      this.sum.endLeaf();
      gradients.settle(isLast);
      pause(this.options.fault ?? null);
      handlers.progress();
    }
    return stats;
  }

  private computeLeaf(
    model: Model,
    memory: Floats,
    batch: Batch,
    at: { step: number; microBatch: number },
    finals: ChunkCounter,
  ): BatchStats {
    const { engine, job, fault = null } = this.options;
    const { trainable } = model.parameters;
    const onFinal: OnFinal = (index, gradient) => {
      const { offset, size } = trainable[index]!.spec;
      if (fault && gradient instanceof Float32Array) {
        engine.gradients.settle(true); // it is written
        falsify(fault, at, offset, gradient);
      }
      this.sum.write(offset, size, gradient);
      finals.add(offset, size);
      engine.gradients.settle(false);
    };
    const { loss, correct } = this.repeated.compute(model, memory, batch, { seed: job.seed, ...at }, onFinal);
    return { loss, correct, tokens: batch.labels.length, sourceTokens: sourceTokens(batch) };
  }

  /** Plain cross-entropy: without dropout and label smoothing. */
  evaluate(version: number, batch: Batch, slot: number): BatchStats {
    const { loss, correct } = evaluationLoss(this.modelAt(slot, version).transformer, batch);
    return { loss, correct, tokens: batch.labels.length, sourceTokens: sourceTokens(batch) };
  }

  /** The model over buffer `slot`, into which that version has been pulled. */
  private modelAt(slot: number, version: number): Model {
    const held = this.slots[slot]!;
    if (held.version !== version) held.model.parameters.refresh();
    held.version = version;
    return held.model;
  }
}

function sourceTokens(batch: Batch): number {
  return batch.sourceLengths.reduce((sum, length) => sum + length, 0);
}

/** Tells of each chunk when all its elements have been added. */
class ChunkCounter {
  private readonly missing: number[];

  constructor(
    private readonly grid: ChunkGrid,
    private readonly onFinal: (chunk: number) => void,
  ) {
    this.missing = Array.from({ length: grid.gradientChunks }, (_, chunk) => grid.gradientElements(chunk));
  }

  add(offset: number, size: number): void {
    const end = offset + size;
    const { chunkElements } = this.grid;
    for (let chunk = Math.floor(offset / chunkElements); chunk * chunkElements < end; chunk++) {
      const start = this.grid.start(chunk);
      this.missing[chunk]! -= Math.min(end, start + chunkElements) - Math.max(offset, start);
      if (this.missing[chunk] === 0) this.onFinal(chunk);
    }
  }
}
