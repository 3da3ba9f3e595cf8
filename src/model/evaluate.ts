// Loss, perplexity and accuracy on held-out samples, under the objective that a model was trained with.

import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import type { Batch, Sample } from './batch.js';
import { buildEvaluationBatch, type ObjectiveConfig, type TokenIds } from './objectives.js';
import type { Transformer } from './transformer.js';

/** Where samples come from, by position. */
export interface SampleSource {
  readonly samples: number;
  read(index: number): Promise<Sample>;
}

export interface EvaluationPlan {
  /** Samples evaluated: the first of the source. */
  readonly samples: number;
  readonly samplesPerMicroBatch: number;
  readonly objective: ObjectiveConfig;
  readonly tokens: TokenIds;
  /** Decides what is hidden and where windows are split; equal seeds give equal evaluations. */
  readonly seed: number;
  readonly maxLength: number;
}

/** Sums so far. Losses are in nats. */
export interface EvaluationSums {
  readonly samples: number;
  /** Target tokens that carry loss. */
  readonly tokens: number;
  /** Summed cross-entropy, without label smoothing. */
  readonly loss: number;
  /** Tokens predicted as the most probable. */
  readonly correct: number;
  /** How often each token was a label, [V]. */
  readonly labelCounts: Float64Array;
}

/** Micro-batches of a plan. */
export function microBatchesOf(plan: Pick<EvaluationPlan, 'samples' | 'samplesPerMicroBatch'>): number {
  return Math.ceil(plan.samples / plan.samplesPerMicroBatch);
}

/** Indices of the samples of micro-batch `microBatch`: in their order, the last one may be short. */
export function evaluationIndices(
  microBatch: number,
  plan: Pick<EvaluationPlan, 'samples' | 'samplesPerMicroBatch'>,
): number[] {
  const first = microBatch * plan.samplesPerMicroBatch;
  const count = Math.min(plan.samplesPerMicroBatch, plan.samples - first);
  return Array.from({ length: count }, (_, j) => first + j);
}

/** Evaluates every micro-batch of the plan, in order; `onProgress` sees the sums after each. */
export async function evaluate(
  transformer: Transformer,
  source: SampleSource,
  plan: EvaluationPlan,
  onProgress: (sums: EvaluationSums, microBatches: number) => void = () => {},
): Promise<EvaluationSums> {
  const labelCounts = new Float64Array(transformer.config.vocabularySize);
  let sums: EvaluationSums = { samples: 0, tokens: 0, loss: 0, correct: 0, labelCounts };
  assert(plan.samples <= source.samples, `${plan.samples} samples of ${source.samples}`);
  for (let microBatch = 0; microBatch < microBatchesOf(plan); microBatch++) {
    const indices = evaluationIndices(microBatch, plan);
    const samples = await Promise.all(indices.map((index) => source.read(index)));
    const key = { seed: plan.seed, microBatch };
    const batch = buildEvaluationBatch(samples, plan.objective, plan.tokens, key, plan.maxLength);
    const { loss, correct } = lossOf(transformer, batch);
    for (const label of batch.labels) labelCounts[label]!++;
    sums = {
      samples: sums.samples + samples.length,
      tokens: sums.tokens + batch.labels.length,
      loss: sums.loss + loss,
      correct: sums.correct + correct,
      labelCounts,
    };
    onProgress(sums, microBatch + 1);
  }
  return sums;
}

function lossOf(transformer: Transformer, batch: Batch): { loss: number; correct: number } {
  const { loss, correct } = transformer.loss(batch, { smoothing: 0, random: null });
  const values = { loss: loss.dataSync()[0]!, correct: correct.dataSync()[0]! };
  tf.dispose([loss, correct]);
  return values;
}

/** Cross-entropy per token, in nats, of tokens under their own frequencies: what no constant prediction beats. */
export function entropyOf(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce(
    (sum, count) => (count === 0 ? sum : sum - (count / total) * Math.log(count / total)),
    0,
  );
}
