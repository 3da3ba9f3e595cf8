// The samples of a lease, read by position from the data set: what a worker gets sent along with a node.
import {
  evaluationIndices,
  evaluationMicroBatches,
  sampleIndices,
  type EvaluationSampling,
} from '../data/sampling.js';
import type { Dataset, Split } from '../data/dataset.js';
import type { RunConfig } from '../config/schema.js';
import { encodeSamples, type SampleIds, type SamplesShape } from '../protocol/samples.js';

export interface LeaseSamples {
  readonly shape: SamplesShape;
  readonly payload: Uint8Array;
}

export class SampleSource {
  private readonly train: Split;
  private readonly validation: Split;
  private readonly sequences: 1 | 2;
  /** Micro-batches of an evaluation: as many as the config wants and the held-out part fills, at least 0. */
  readonly evaluationBatches: number;

  constructor(
    dataset: Dataset,
    private readonly config: RunConfig,
  ) {
    this.train = dataset.split('train', config.window);
    this.validation = dataset.split('validation', config.window);
    this.sequences = dataset.kind === 'text' ? 1 : 2;
    const available = evaluationMicroBatches(this.evaluationPlan);
    this.evaluationBatches = Math.min(config.evaluate.batches, available);
  }

  /** Samples of the micro-batches [start, end) of a step. */
  async ofStep(step: number, start: number, end: number): Promise<LeaseSamples> {
    const { seed, batch } = this.config;
    const plan = {
      samplesPerMicroBatch: batch.samples,
      microBatches: batch.microBatches,
      size: this.train.samples,
    };
    const indices = Array.from({ length: end - start }, (_, i) => sampleIndices(seed, step, start + i, plan));
    return this.read(this.train, indices);
  }

  /** Samples of one evaluation micro-batch. */
  async ofEvaluation(index: number): Promise<LeaseSamples> {
    return this.read(this.validation, [evaluationIndices(index, this.evaluationPlan)]);
  }

  private get evaluationPlan(): EvaluationSampling {
    return { size: this.validation.samples, samplesPerMicroBatch: this.config.batch.samples };
  }

  private async read(split: Split, indices: readonly (readonly number[])[]): Promise<LeaseSamples> {
    const samples: SampleIds[][] = await Promise.all(
      indices.map((batch) => Promise.all(batch.map((index) => split.read(index)))),
    );
    return {
      shape: { microBatches: samples.length, samples: samples[0]!.length, sequences: this.sequences },
      payload: encodeSamples(samples),
    };
  }
}
