// The numbers of a step's end: totals, gradient norm, learning rate, and the update that follows from them.
import type { AdamWSpec } from '../engine/native/addon.js';
import type { StepCommitted, StepSkipped } from '../metrics/events.js';
import { adamWSpec } from '../optim/adamw.js';
import { clipScale } from '../optim/clip.js';
import { learningRate } from '../optim/schedule.js';
import type { BatchStats } from '../protocol/stats.js';
import type { CoordinatorOptions, Progress } from './events.js';

/** Sums in the micro-batches' order, so that the loss does not depend on who was first. */
export function sumStats(stats: readonly BatchStats[]): BatchStats {
  const sum = { loss: 0, tokens: 0, correct: 0, sourceTokens: 0 };
  for (const { loss, tokens, correct, sourceTokens } of stats) {
    sum.loss += loss;
    sum.tokens += tokens;
    sum.correct += correct;
    sum.sourceTokens += sourceTokens;
  }
  return sum;
}

/**
 * L2 norm of the mean gradient, 0 without tokens. `blockSums` by reducer: sums of squares of the blocks of its slice,
 * added here in the vector's order, so that the number of reducers does not matter.
 */
export function gradientNorm(blockSums: ReadonlyMap<number, Float64Array>, tokens: number): number {
  let sum = 0;
  for (let reducer = 0; reducer < blockSums.size; reducer++) {
    for (const blockSum of blockSums.get(reducer)!) sum += blockSum;
  }
  return tokens > 0 ? Math.sqrt(sum) / tokens : 0;
}

interface CompletedStep {
  /** null: the step is skipped. */
  readonly update: AdamWSpec | null;
  readonly progress: Progress;
  readonly event: StepCommitted | StepSkipped;
}

/** What a step with these totals does to the run. A step without tokens or with a non-finite gradient is skipped. */
export function completeStep(
  progress: Progress,
  totals: BatchStats,
  norm: number,
  seconds: number,
  { optimizer, steps }: Pick<CoordinatorOptions, 'optimizer' | 'steps'>,
): CompletedStep {
  const { version: step, updates, tokens } = progress;
  const version = step + 1;
  const skip = totals.tokens === 0 ? 'no_tokens' : Number.isFinite(norm) ? undefined : 'non_finite';
  if (skip) {
    const event = { kind: 'stepSkipped', step, version, reason: skip, seconds } as const;
    return { update: null, progress: { ...progress, version }, event };
  }
  const rate = learningRate(step + 1, optimizer, steps);
  const clip = clipScale(norm, optimizer.clipNorm);
  const gradientScale = clip / totals.tokens;
  return {
    update: adamWSpec({ update: updates + 1, learningRate: rate, gradientScale }, optimizer),
    progress: { ...progress, version, updates: updates + 1, tokens: tokens + totals.tokens },
    event: {
      kind: 'stepCommitted',
      step,
      version,
      loss: totals.loss / totals.tokens,
      tokens: totals.tokens,
      correct: totals.correct,
      sourceTokens: totals.sourceTokens,
      learningRate: rate,
      gradientNorm: norm,
      clipped: clip < 1,
      seconds,
    },
  };
}
