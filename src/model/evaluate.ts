// Loss, perplexity and accuracy on held-out samples, under the objective that a model was trained with.

import type { Split } from '../data/dataset.js';
import { evaluationIndices, evaluationMicroBatches, type EvaluationSampling } from '../data/sampling.js';
import { assert } from '../util/errors.js';
import type { Batch } from './batch.js';
import { buildEvaluationBatch, type ObjectiveConfig, type TokenIds } from './objectives.js';
import { inScope } from './scope.js';
import type { Transformer } from './transformer.js';

export interface EvaluationPlan {
  /** Samples evaluated: the first of the split. */
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
export function microBatchesOf(plan: EvaluationPlan): number {
  return evaluationMicroBatches(samplingOf(plan));
}

function samplingOf({ samples, samplesPerMicroBatch }: EvaluationPlan): EvaluationSampling {
  return { size: samples, samplesPerMicroBatch };
}

/** Evaluates every micro-batch of the plan, in order; `onProgress` sees the sums after each. */
export async function evaluate(
  transformer: Transformer,
  split: Split,
  plan: EvaluationPlan,
  onProgress: (sums: EvaluationSums, microBatches: number) => void = () => {},
): Promise<EvaluationSums> {
  const labelCounts = new Float64Array(transformer.config.vocabularySize);
  let sums: EvaluationSums = { samples: 0, tokens: 0, loss: 0, correct: 0, labelCounts };
  assert(plan.samples <= split.samples, `${plan.samples} samples of ${split.samples}`);
  for (let microBatch = 0; microBatch < microBatchesOf(plan); microBatch++) {
    const indices = evaluationIndices(microBatch, samplingOf(plan));
    const samples = await Promise.all(indices.map((index) => split.read(index)));
    const key = { seed: plan.seed, microBatch };
    const batch = buildEvaluationBatch(samples, plan.objective, plan.tokens, key, plan.maxLength);
    const { loss, correct } = evaluationLoss(transformer, batch);
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

/** Summed cross-entropy (nats) and right predictions of a micro-batch, without dropout and label smoothing. */
export function evaluationLoss(transformer: Transformer, batch: Batch): { loss: number; correct: number } {
  return inScope(() => {
    const { loss, correct } = transformer.loss(batch, { smoothing: 0, random: null });
    return { loss: loss.dataSync()[0]!, correct: correct.dataSync()[0]! };
  });
}

/** Cross-entropy per token, in nats, of tokens under their own frequencies: what no constant prediction beats. */
export function entropyOf(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce(
    (sum, count) => (count === 0 ? sum : sum - (count / total) * Math.log(count / total)),
    0,
  );
}
