// One training step that stays on a CUDA device: parameters, gradient and AdamW's moments lie in its memory, as a trainer of one
// process would have them. What workers add, gradients on their way to the host and to reducers, is in `bench -- scaling`.
import * as tf from '@tensorflow/tfjs';
import { boundsWithin, undecayedRanges } from '../../src/coordinator/reducer/undecayed.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Precision } from '../../src/engine/names.js';
import type { CudaBackend } from '../../src/engine/native/cuda/backend.js';
import { type DeviceFloats, partOf } from '../../src/engine/native/cuda/memory.js';
import type { Batch } from '../../src/model/batch.js';
import { initialParameters } from '../../src/model/initialise.js';
import { ModelParameters, parameterLayout, type ParameterLayout } from '../../src/model/parameters.js';
import { Transformer } from '../../src/model/transformer.js';
import { adamWSpec } from '../../src/optim/adamw.js';
import { type Model, RepeatedGradients } from '../../src/worker/compute/repeated-gradients.js';
import { batchOf, jobOf, OPTIMIZER, SEED, type Step } from './training-step.js';
import type { StepWorkload } from './step-workload.js';

export class DeviceStep implements Step {
  readonly layout: ParameterLayout;
  private readonly undecayed: Int32Array;
  private readonly backend = tf.backend() as CudaBackend;
  private readonly model: Model;
  private readonly gradients: RepeatedGradients;
  private readonly batch: Batch;
  private readonly vectors: Readonly<Record<'parameters' | 'gradient' | 'moment1' | 'moment2', DeviceFloats>>;
  private updates = 0;

  constructor(engine: Engine, workload: StepWorkload, precision: Precision) {
    const job = jobOf(workload, precision);
    const { total, trainable, tensors } = (this.layout = parameterLayout(job.model));
    this.undecayed = boundsWithin(undecayedRanges(tensors, trainable), 0, trainable);
    const { cuda } = this.backend.addon;
    const vector = (elements: number): DeviceFloats =>
      this.backend.memoryOfDevice.acquire(elements, 'float32');
    const [parameters, gradient, moment1, moment2] = [total, trainable, trainable, trainable].map(vector);
    this.vectors = {
      parameters: parameters!,
      gradient: gradient!,
      moment1: moment1!,
      moment2: moment2!,
    };
    const values = new Float32Array(total);
    initialParameters(this.layout, job.model, SEED, values);
    cuda.upload(parameters!.address, new Uint8Array(values.buffer));
    for (const { address } of [moment1!, moment2!]) cuda.zero(address, 4 * trainable);
    const onDevice: Engine = {
      ...engine,
      view: (part, shape) => this.backend.over(partOf(parameters!, part.byteOffset / 4, part.length), shape),
    };
    const model = new ModelParameters(onDevice, this.layout, values);
    this.model = { parameters: model, transformer: new Transformer(job.model, model) };
    this.batch = batchOf(workload);
    this.gradients = new RepeatedGradients(onDevice, job.labelSmoothing);
  }

  run(): number {
    const { gradient } = this.vectors;
    const { kernels } = this.backend;
    const key = { seed: SEED, step: this.updates, microBatch: 0 };
    const { loss } = this.gradients.compute(this.model, gradient, this.batch, key, () => undefined);
    const tokens = this.batch.labels.length;
    const norm = Math.sqrt(kernels.sumOfSquares(gradient, gradient.length)) / tokens;
    const clip = Math.min(1, (OPTIMIZER.clipNorm ?? Infinity) / norm);
    this.apply(clip / tokens);
    this.backend.addon.cuda.synchronise();
    return loss / tokens;
  }

  private apply(gradientScale: number): void {
    const { parameters, moment1, moment2, gradient } = this.vectors;
    const update = ++this.updates;
    const spec = adamWSpec({ update, learningRate: OPTIMIZER.learningRate, gradientScale }, OPTIMIZER);
    const { trainable } = this.layout;
    this.backend.kernels.adamW(parameters, moment1, moment2, gradient, trainable, this.undecayed, spec);
  }
}
