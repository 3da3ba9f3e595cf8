// Greedy decoding and sampling, many sequences at a time: each row runs until its end token or its limit and
// then leaves the batch.

import { RandomField, RandomSite } from '../util/philox.js';
import { argMax, logProbabilityOf } from './probabilities.js';
import { drawToken, type SamplingOptions } from './sampling-strategies.js';
import { rowOf, suppress, type StepDecoder } from './step-decoder.js';

export interface GenerateOptions {
  readonly startId: number;
  readonly endId: number;
  /** Most new tokens, the end token included: one limit per row. */
  readonly limits: readonly number[];
  /** Tokens never produced (padding, the mask). Log-probabilities are those of the model without them. */
  readonly suppressed: readonly number[];
  /** null: greedy, the most probable token each time (of equal ones the lowest id). */
  readonly sampling: SamplingOptions | null;
  readonly seed: number;
  /** Number of row 0 among all sequences of the run: randomness is keyed by it, so batches may be cut anywhere. */
  readonly firstSequence: number;
}

export interface Generated {
  /** The new tokens, without start and end token. */
  readonly ids: readonly number[];
  /** Whether the end token was produced (otherwise the limit was reached). */
  readonly ended: boolean;
  /** Sum of log p(token | source, tokens before it), the end token included; natural logarithm. */
  readonly logProbability: number;
}

interface Sequence {
  readonly ids: number[];
  readonly limit: number;
  readonly number: number;
  ended: boolean;
  logProbability: number;
  last: number;
}

/** Decodes every row of `decoder` (which is used up, not disposed). Results are in the order of the rows. */
export function generate(decoder: StepDecoder, options: GenerateOptions): Generated[] {
  const sequences = options.limits.map((limit, row): Sequence => ({
    ids: [],
    limit,
    number: options.firstSequence + row,
    ended: false,
    logProbability: 0,
    last: options.startId,
  }));
  let live = keepLive(decoder, sequences, (sequence) => sequence.limit > 0);
  for (let position = 0; live.length > 0; position++) {
    const logits = decoder.step(Int32Array.from(live, (sequence) => sequence.last));
    live.forEach((sequence, row) => {
      extend(sequence, rowOf(logits, row, decoder.vocabularySize), position, options);
    });
    live = keepLive(decoder, live, (sequence) => !sequence.ended && position + 1 < sequence.limit);
  }
  return sequences.map(({ ids, ended, logProbability }) => ({ ids, ended, logProbability }));
}

function extend(sequence: Sequence, logits: Float32Array, position: number, options: GenerateOptions): void {
  suppress(logits, options.suppressed);
  const token = options.sampling
    ? drawToken(logits, options.sampling, uniformOf(options.seed, sequence.number, position))
    : argMax(logits);
  sequence.logProbability += logProbabilityOf(logits, token);
  sequence.last = token;
  if (token === options.endId) sequence.ended = true;
  else sequence.ids.push(token);
}

/** The random number that chooses token `position` of sequence `number`. */
function uniformOf(seed: number, number: number, position: number): number {
  return new RandomField({ seed, step: 0, microBatch: number, site: RandomSite.sample }).uniform(position);
}

function keepLive(
  decoder: StepDecoder,
  sequences: readonly Sequence[],
  isLive: (sequence: Sequence) => boolean,
): Sequence[] {
  const order = [...sequences.keys()].filter((row) => isLive(sequences[row]!));
  if (order.length > 0 && order.length < sequences.length) decoder.reorder(order);
  return order.map((row) => sequences[row]!);
}
