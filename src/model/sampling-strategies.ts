// How one token is drawn from a row of logits: temperature, top-k and top-p (nucleus sampling, Holtzman et
// al., "The Curious Case of Neural Text Degeneration", ICLR 2020). Pure: the caller brings the random number.

import { assert } from '../util/errors.js';
import { largest } from './probabilities.js';

export interface SamplingOptions {
  /** Logits are divided by it; > 0. Below 1 sharpens the distribution, above 1 flattens it. */
  readonly temperature: number;
  /** Only the k most probable tokens are kept; null: all. */
  readonly topK: number | null;
  /** Of those, the smallest set of most probable tokens whose probability reaches p is kept (0 < p ≤ 1); null: all. */
  readonly topP: number | null;
}

/** Tokens that may be drawn and their probabilities, which sum to 1. */
export interface Candidates {
  readonly ids: ArrayLike<number>;
  readonly probabilities: Float64Array;
}

/**
 * Applies temperature, then top-k, then top-p, each renormalising what the one before it left.
 * Tokens with a logit of -Infinity are never candidates, and at least one token always is.
 */
export function candidates(logits: Float32Array, options: SamplingOptions): Candidates {
  const { topK, topP } = options;
  const kept = topK !== null && topK < logits.length ? largest(logits, topK) : finite(logits);
  const probabilities = softmax(logits, kept, options.temperature);
  if (topP === null || topP >= 1) return { ids: kept, probabilities };
  return nucleus(kept, probabilities, topP);
}

/** Draws by inverting the cumulative distribution at `uniform` (0 ≤ uniform < 1). */
export function drawToken(logits: Float32Array, options: SamplingOptions, uniform: number): number {
  const { ids, probabilities } = candidates(logits, options);
  let cumulative = 0;
  for (let i = 0; i < ids.length; i++) {
    cumulative += probabilities[i]!;
    if (uniform < cumulative) return ids[i]!;
  }
  return ids[ids.length - 1]!; // rounding left the sum a hair below 1
}

function finite(logits: Float32Array): number[] {
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id] !== -Infinity) ids.push(id);
  return ids;
}

function softmax(logits: Float32Array, ids: readonly number[], temperature: number): Float64Array {
  assert(ids.length > 0, 'every token is suppressed');
  let maximum = -Infinity;
  for (const id of ids) if (logits[id]! > maximum) maximum = logits[id]!;
  const probabilities = new Float64Array(ids.length);
  let sum = 0;
  ids.forEach((id, i) => (sum += probabilities[i] = Math.exp((logits[id]! - maximum) / temperature)));
  return probabilities.map((weight) => weight / sum);
}

function nucleus(ids: readonly number[], probabilities: Float64Array, topP: number): Candidates {
  // All tokens below (1 - p) / n together have less than 1 - p, so none of them can be needed to reach p:
  // they need not be sorted.
  const floor = (1 - topP) / ids.length;
  const order: number[] = [];
  probabilities.forEach((probability, i) => probability >= floor && order.push(i));
  order.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let mass = 0;
  let count = 0;
  while (count < order.length && mass < topP) mass += probabilities[order[count++]!]!;
  const chosen = order.slice(0, count);
  return {
    ids: chosen.map((i) => ids[i]!),
    probabilities: Float64Array.from(chosen, (i) => probabilities[i]! / mass),
  };
}
