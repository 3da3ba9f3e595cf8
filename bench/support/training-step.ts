// One training step as a run computes it, in one process and without sockets: a worker's trainer on one micro-batch,
// then what the coordinator and its reducers do with the sum. Reducers take parts of it, each on a thread of its own; here the
// addon's threads share it.
import { sharedFloats } from '../../src/engine/native/shared-floats.js';
import { undecayedRanges } from '../../src/coordinator/reducer/undecayed.js';
import { queuedArithmetic } from '../../src/coordinator/reducer/arithmetic.js';
import { SliceUpdate } from '../../src/coordinator/reducer/slice-update.js';
import type { Progress } from '../../src/coordinator/events.js';
import { completeStep, gradientNorm } from '../../src/coordinator/step-numbers.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Precision } from '../../src/engine/names.js';
import type { Batch } from '../../src/model/batch.js';
import { initialParameters } from '../../src/model/initialise.js';
import { parameterLayout, type ParameterLayout } from '../../src/model/parameters.js';
import type { OptimizerConfig } from '../../src/optim/config.js';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import type { Job } from '../../src/protocol/job.js';
import { assert } from '../../src/util/errors.js';
import { RandomField } from '../../src/util/philox.js';
import { Trainer } from '../../src/worker/compute/trainer.js';
import type { StepWorkload } from './step-workload.js';

export const SEED = 1;
const DROPOUT = 0.1;
const SPECIAL_IDS = { padId: 0, endId: 1, startId: 0 };
const FIRST_WORD_ID = 2;
export const OPTIMIZER: OptimizerConfig = {
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clipNorm: 1,
  schedule: { kind: 'constant', warmupSteps: 0 },
};
/** Forward, backward, clipping, AdamW. */
export interface Step {
  readonly layout: ParameterLayout;
  /** Returns the loss per token. */
  run(): number;
}

const NO_HANDLERS = { chunk: () => undefined, progress: () => undefined, isCancelled: () => false };

export function jobOf(workload: StepWorkload, precision: Precision): Job {
  const { vocabulary: vocabularySize, width, heads, feedForward, layers, length } = workload;
  return {
    seed: SEED,
    model: {
      vocabularySize,
      width,
      heads,
      feedForward,
      encoderLayers: layers,
      decoderLayers: layers,
      maxLength: length,
      dropout: DROPOUT,
      norm: 'post',
      activation: 'relu',
      ...SPECIAL_IDS,
    },
    objective: { kind: 'seq2seq' },
    tokens: { ...SPECIAL_IDS, maskId: SPECIAL_IDS.endId, vocabularySize, specialIds: [0, 1] },
    microBatches: 1,
    labelSmoothing: 0,
    precision,
    emulate: false,
    wire: 'float32',
    heartbeat: { intervalMs: 1000, timeoutMs: 10_000 },
  };
}

export class TrainingStep implements Step {
  readonly layout: ParameterLayout;
  private readonly trainer: Trainer;
  private readonly batch: Batch;
  private readonly update: SliceUpdate;
  private readonly gradient: Float32Array;
  /** Its chunks. */
  private readonly chunks: readonly Float32Array[];
  private progress: Progress = {
    version: 0,
    updates: 0,
    tokens: 0,
    best: null,
    fingerprint: null,
    expelled: [],
  };

  constructor(
    private readonly engine: Engine,
    workload: StepWorkload,
    precision: Precision,
  ) {
    const job = jobOf(workload, precision);
    const { total, trainable, tensors } = (this.layout = parameterLayout(job.model));
    // As in a run, where other threads read and write them.
    const parameters = sharedFloats(total);
    this.gradient = sharedFloats(trainable);
    initialParameters(this.layout, job.model, SEED, parameters);
    const grid = new ChunkGrid(trainable, total);
    this.chunks = Array.from({ length: grid.gradientChunks }, (_, chunk) =>
      this.gradient.subarray(grid.start(chunk), grid.start(chunk + 1)),
    );
    this.update = new SliceUpdate({
      grid,
      slice: { firstChunk: 0, endChunk: grid.chunks },
      undecayed: undecayedRanges(tensors, trainable),
      parameters,
      moment1: sharedFloats(trainable),
      moment2: sharedFloats(trainable),
      arithmetic: queuedArithmetic(engine.addon),
    });
    this.batch = batchOf(workload);
    this.trainer = new Trainer({ engine, job, parameters: [parameters], gradients: [this.gradient] });
  }

  run(): number {
    const root = { level: 0, index: 0 };
    const stats = this.trainer.computeNode(this.progress.version, root, [this.batch], 0, 0, NO_HANDLERS);
    const total = stats![0]!;
    const squares = this.engine.addon.sumOfSquares(this.gradient, this.gradient.length);
    const norm = gradientNorm(new Map([[0, Float64Array.of(squares)]]), total.tokens);
    const options = { optimizer: OPTIMIZER, steps: Infinity };
    const { update, progress } = completeStep(this.progress, total, norm, 0, options);
    assert(update, 'expected a finite gradient');
    this.update.apply(update, (chunk) => this.chunks[chunk]!);
    this.progress = progress;
    return total.loss / total.tokens;
  }
}

export function batchOf({ samples, length, vocabulary }: StepWorkload): Batch {
  const rows = samples * length;
  const field = new RandomField({ seed: SEED, step: 0, microBatch: 0, site: 0 });
  const words = (first: number): Int32Array =>
    Int32Array.from(
      { length: rows },
      (_, i) => FIRST_WORD_ID + field.integer(first + i, vocabulary - FIRST_WORD_ID),
    );
  const labels = words(rows);
  const decoderInput = labels.map((_, i) => (i % length === 0 ? SPECIAL_IDS.startId : labels[i - 1]!));
  return {
    samples,
    sourceLength: length,
    targetLength: length,
    source: words(0),
    sourceLengths: new Int32Array(samples).fill(length),
    decoderInput,
    targetLengths: new Int32Array(samples).fill(length),
    lossRows: Int32Array.from({ length: rows }, (_, i) => i),
    labels,
  };
}
