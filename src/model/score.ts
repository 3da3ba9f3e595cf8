// Log-probabilities of given targets: the decoder is fed the target (teacher forcing) and its prediction of each
// token is read. Natural logarithms throughout.

import * as tf from '@tensorflow/tfjs';
import { padRows } from './pad.js';
import { logProbabilityOf } from './probabilities.js';
import { inScope } from './scope.js';
import { rowOf } from './step-decoder.js';
import type { Transformer } from './transformer.js';

// B pairs, S and T tokens of the longest source and target, d width, V vocabulary, R rows of logits wanted.

export interface Pair {
  /** As the encoder sees it, the end token included; not empty. */
  readonly source: ArrayLike<number>;
  /** What the decoder is to predict, the end token included where that is wanted. */
  readonly target: ArrayLike<number>;
}

/** For each pair, log p(target[t] | source, target[..t)) of every t. Ids must lie in the vocabulary. */
export function scorePairs(transformer: Transformer, pairs: readonly Pair[]): Float64Array[] {
  return inScope(() => {
    const source = padRows(
      pairs.map((pair) => pair.source),
      transformer.config.padId,
    );
    const memory = transformer.encode(source.ids, source.lengths, null); // [B, S, d]
    const targets = pairs.map((pair) => pair.target);
    return scoreTargets(transformer, memory, source.lengths, targets, 0);
  });
}

/** The same for positions t ≥ from, with the sources encoded already: memory [B, S, d], sourceLengths [B]. */
export function scoreTargets(
  transformer: Transformer,
  memory: tf.Tensor,
  sourceLengths: tf.Tensor,
  targets: readonly ArrayLike<number>[],
  from: number,
): Float64Array[] {
  const scores = targets.map((target) => new Float64Array(Math.max(0, target.length - from)));
  if (scores.every((score) => score.length === 0)) return scores;
  inScope(() => {
    const { padId, startId, width } = transformer.config;
    const input = padRows(
      targets.map((target) => [startId, ...Array.from(target).slice(0, -1)]),
      padId,
    );
    const hidden = transformer.decode(input.ids, memory, sourceLengths, null); // [B, T, d]
    const length = input.ids.shape[1];
    const wanted = scores.flatMap((score, row) =>
      Array.from(score, (_, i) => ({ row, i, at: row * length + from + i })),
    );
    eachRowOfLogits(
      transformer,
      hidden.reshape([-1, width]),
      wanted.map(({ at }) => at),
      (n, logits) => {
        const { row, i } = wanted[n]!;
        scores[row]![i] = logProbabilityOf(logits, targets[row]![from + i]!);
      },
    );
  });
  return scores;
}

/** Logits held at a time, in elements: 64 MiB. */
const LOGITS_AT_A_TIME = 2 ** 24;

/** Calls `use(n, logits)` with the logits [V] of row rows[n] of hidden [B * T, d], never holding all at once. */
function eachRowOfLogits(
  transformer: Transformer,
  hidden: tf.Tensor,
  rows: readonly number[],
  use: (n: number, logits: Float32Array) => void,
): void {
  const { vocabularySize } = transformer.config;
  const atATime = Math.max(1, Math.floor(LOGITS_AT_A_TIME / vocabularySize));
  for (let first = 0; first < rows.length; first += atATime) {
    const chunk = rows.slice(first, first + atATime);
    const values = inScope(
      () => transformer.logits(tf.gather(hidden, tf.tensor1d(chunk, 'int32'))).dataSync<'float32'>(), // [R, V]
    );
    chunk.forEach((_, n) => use(first + n, rowOf(values, n, vocabularySize)));
  }
}
