// What the model is trained to do: an objective turns samples into a micro-batch. Pure: the same samples and
// key give the same batch on every machine.

import { assert } from '../util/errors.js';
import { RandomField, RandomSite } from '../util/philox.js';
import type { Batch, Sample } from './batch.js';

export type ObjectiveConfig =
  | {
      /** The encoder sees text with tokens hidden, the decoder predicts the original text. */
      readonly kind: 'masked';
      /** Share of a sample's tokens that are hidden, 0 < rate < 1. */
      readonly rate: number;
      /** `token`: each hidden token becomes the mask (80 %), a random token (10 %) or stays (10 %), as in BERT.
       *  `span`: runs of hidden tokens become one mask each, as in T5 and BART. */
      readonly corruption: 'token' | 'span';
      /** Mean number of tokens in a span. */
      readonly meanSpan: number;
      /** Which target positions carry loss: the hidden ones, or all. */
      readonly loss: 'hidden' | 'all';
    }
  /** The encoder sees the beginning of a window, the decoder predicts the rest. */
  | { readonly kind: 'causal' }
  /** The encoder sees a source, the decoder predicts its target. */
  | { readonly kind: 'seq2seq' };

/** The ids an objective must know. */
export interface TokenIds {
  readonly padId: number;
  readonly endId: number;
  /** What the decoder starts from. */
  readonly startId: number;
  readonly maskId: number;
  readonly vocabularySize: number;
  /** Tokens that are never hidden and never put in the place of a hidden one: pad, end, mask, the user's. */
  readonly specialIds: readonly number[];
}

/** Names a micro-batch: what its randomness is keyed by. */
export interface BatchKey {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
}

/** The step in an evaluation's random key: no training step has this number. */
const EVALUATION_STEP = 2 ** 32 - 1;

/** Encoder input and decoder target of one sample. `lossPositions`: ascending, positions of `target`. */
interface Example {
  readonly source: readonly number[];
  readonly target: readonly number[];
  readonly lossPositions: readonly number[];
}

// Each position of each sample owns one Philox block, so no two draws share a word: element index
// = sample · 2^20 + position · 4 + lane.
const WORDS_PER_SAMPLE = 2 ** 20;
const WORDS_PER_POSITION = 4;
const MAX_SAMPLES = 2 ** 34 / WORDS_PER_SAMPLE;
const MAX_POSITIONS = WORDS_PER_SAMPLE / WORDS_PER_POSITION;

/** The random numbers of one sample. */
class SampleRandom {
  private readonly first: number;

  constructor(
    private readonly field: RandomField,
    sample: number,
  ) {
    this.first = sample * WORDS_PER_SAMPLE;
  }

  word(position: number, lane: number): number {
    return this.field.word(this.element(position, lane));
  }

  uniform(position: number, lane: number): number {
    return this.field.uniform(this.element(position, lane));
  }

  integer(position: number, lane: number, bound: number): number {
    return this.field.integer(this.element(position, lane), bound);
  }

  /** `count` distinct integers of [0, bound), every such set equally likely, ascending. */
  choose(count: number, bound: number, lane: number): number[] {
    const words = Array.from({ length: bound }, (_, i) => this.word(i, lane));
    const order = words.map((_, i) => i).sort((a, b) => words[a]! - words[b]! || a - b);
    return order.slice(0, count).sort((a, b) => a - b);
  }

  /** `total` as the sum of `parts` positive integers, every such sequence equally likely. */
  divide(total: number, parts: number, lane: number): number[] {
    const cuts = [0, ...this.choose(parts - 1, total - 1, lane).map((cut) => cut + 1), total];
    return Array.from({ length: parts }, (_, part) => cuts[part + 1]! - cuts[part]!);
  }

  private element(position: number, lane: number): number {
    return this.first + position * WORDS_PER_POSITION + lane;
  }
}

/**
 * Makes the micro-batch `key` of the given samples. Sources end with the end token and have at most `maxLength`
 * tokens with it; targets have at most `maxLength`.
 *
 * - `masked`: the first maxLength − 1 tokens of the sample. Of its n tokens that are not special, max(1, ⌊rate · n + ½⌋) are hidden.
 *   The target is the original text without an end token.
 * - `causal`: the first maxLength tokens, split before a uniformly drawn token: what comes before is the source
 *   (possibly nothing), the rest, which has at least one token, is the target.
 * - `seq2seq`: source and target. A target that is too long is cut without an end token: the model must not
 *   learn to stop there.
 *
 * A micro-batch may carry no loss at all (`masked`, samples of special tokens only).
 */
export function buildBatch(
  samples: readonly Sample[],
  objective: ObjectiveConfig,
  tokens: TokenIds,
  key: BatchKey,
  maxLength: number,
): Batch {
  assert(samples.length >= 1 && samples.length <= MAX_SAMPLES, `${samples.length} samples in a micro-batch`);
  assert(maxLength >= 2 && maxLength <= MAX_POSITIONS, `maxLength ${maxLength}`);
  const site = objective.kind === 'causal' ? RandomSite.split : RandomSite.corrupt;
  const field = new RandomField({ ...key, site });
  const examples = samples.map((sample, index) =>
    buildExample(sample, objective, tokens, new SampleRandom(field, index), maxLength),
  );
  return padExamples(examples, tokens);
}

/**
 * The micro-batch `microBatch` of an evaluation: the same in every evaluation, during training and afterwards. A masked
 * model is judged by the hidden tokens, also when all its predictions are trained: the others stand in its source.
 */
export function buildEvaluationBatch(
  samples: readonly Sample[],
  objective: ObjectiveConfig,
  tokens: TokenIds,
  { seed, microBatch }: Pick<BatchKey, 'seed' | 'microBatch'>,
  maxLength: number,
): Batch {
  const judged: ObjectiveConfig = objective.kind === 'masked' ? { ...objective, loss: 'hidden' } : objective;
  return buildBatch(samples, judged, tokens, { seed, step: EVALUATION_STEP, microBatch }, maxLength);
}

function buildExample(
  sample: Sample,
  objective: ObjectiveConfig,
  tokens: TokenIds,
  random: SampleRandom,
  maxLength: number,
): Example {
  assert(
    sample.length === (objective.kind === 'seq2seq' ? 2 : 1),
    'a text sample is one sequence, a pair is two',
  );
  const first = [...sample[0]!];
  switch (objective.kind) {
    case 'masked': {
      assert(first.length >= 1, 'a text sample has at least one token');
      return maskedExample(first.slice(0, maxLength - 1), objective, tokens, random);
    }
    case 'causal': {
      assert(first.length >= 1, 'a text sample has at least one token');
      const text = first.slice(0, maxLength);
      const split = random.integer(0, 0, text.length);
      return wholeTarget([...text.slice(0, split), tokens.endId], text.slice(split));
    }
    case 'seq2seq': {
      const source = [...first.slice(0, maxLength - 1), tokens.endId];
      return wholeTarget(source, [...sample[1]!, tokens.endId].slice(0, maxLength));
    }
  }
}

function wholeTarget(source: readonly number[], target: readonly number[]): Example {
  return { source, target, lossPositions: target.map((_, position) => position) };
}

// ---- masked

type MaskedObjective = Extract<ObjectiveConfig, { kind: 'masked' }>;

// Lanes of a position's words. Token and span corruption share the first: a sample meets only one of them.
const Lane = { choose: 0, kind: 1, replacement: 2, gap: 1, turn: 2 } as const;

function maskedExample(
  text: readonly number[],
  objective: MaskedObjective,
  tokens: TokenIds,
  random: SampleRandom,
): Example {
  const special = new Set(tokens.specialIds);
  const regular = text.flatMap((id, position) => (special.has(id) ? [] : [position]));
  const count = regular.length === 0 ? 0 : Math.max(1, Math.round(objective.rate * regular.length));
  const spans = objective.corruption === 'span';
  const chosen = spans
    ? chooseSpans(count, regular.length, objective.meanSpan, random)
    : random.choose(count, regular.length, Lane.choose);
  const hidden = chosen.map((index) => regular[index]!);
  const corrupted = spans ? maskSpans(text, hidden, tokens) : maskTokens(text, hidden, tokens, random);
  const example = wholeTarget([...corrupted, tokens.endId], text);
  return objective.loss === 'all' ? example : { ...example, lossPositions: hidden };
}

/** BERT's 80/10/10: the mask, a random regular token, or the token itself. */
function maskTokens(
  text: readonly number[],
  hidden: readonly number[],
  tokens: TokenIds,
  random: SampleRandom,
): number[] {
  const source = [...text];
  for (const position of hidden) {
    const kind = random.uniform(position, Lane.kind);
    if (kind < 0.8) source[position] = tokens.maskId;
    else if (kind < 0.9) source[position] = randomRegularToken(position, tokens, random);
  }
  return source;
}

function randomRegularToken(position: number, tokens: TokenIds, random: SampleRandom): number {
  const specials = [...new Set(tokens.specialIds)].sort((a, b) => a - b);
  let id = random.integer(position, Lane.replacement, tokens.vocabularySize - specials.length);
  for (const special of specials) if (id >= special) id++;
  return id;
}

/**
 * Which `count` of `length` tokens are hidden, as spans with about `meanSpan` tokens each: T5's scheme (Raffel et al. 2020;
 * every division into spans, and of the rest into gaps, is equally likely), but turned by a random distance with the text
 * closed to a ring, so that every position is hidden equally often. A span may thus run over the end and be two. Ascending.
 */
function chooseSpans(count: number, length: number, meanSpan: number, random: SampleRandom): number[] {
  const visible = length - count;
  if (count === 0 || visible === 0) return Array.from({ length: count }, (_, i) => i);
  const spans = Math.min(Math.max(1, Math.round(count / meanSpan)), count, visible);
  const spanSizes = random.divide(count, spans, Lane.choose);
  const gapSizes = random.divide(visible, spans, Lane.gap);
  const hidden: number[] = [];
  let at = random.integer(0, Lane.turn, length);
  for (const [span, size] of spanSizes.entries()) {
    for (let i = 0; i < size; i++) hidden.push((at + i) % length);
    at += size + gapSizes[span]!;
  }
  return hidden.sort((a, b) => a - b);
}

/** One mask for each run of adjacent hidden positions (a special token inside a span stays and divides it). */
function maskSpans(text: readonly number[], hidden: readonly number[], tokens: TokenIds): number[] {
  const isHidden = new Set(hidden);
  return text.flatMap((id, position) => {
    if (!isHidden.has(position)) return [id];
    return isHidden.has(position - 1) ? [] : [tokens.maskId];
  });
}

// ---- padding

function padExamples(examples: readonly Example[], tokens: TokenIds): Batch {
  const samples = examples.length; // B
  const sourceLength = Math.max(...examples.map((example) => example.source.length)); // S
  const targetLength = Math.max(...examples.map((example) => example.target.length)); // T
  const source = new Int32Array(samples * sourceLength).fill(tokens.padId); // [B, S]
  const decoderInput = new Int32Array(samples * targetLength).fill(tokens.padId); // [B, T]
  const lossRows: number[] = [];
  const labels: number[] = [];
  for (const [row, example] of examples.entries()) {
    source.set(example.source, row * sourceLength);
    decoderInput.set([tokens.startId, ...example.target.slice(0, -1)], row * targetLength);
    for (const position of example.lossPositions) {
      lossRows.push(row * targetLength + position);
      labels.push(example.target[position]!);
    }
  }
  return {
    samples,
    sourceLength,
    targetLength,
    source,
    sourceLengths: Int32Array.from(examples, (example) => example.source.length),
    decoderInput,
    targetLengths: Int32Array.from(examples, (example) => example.target.length),
    lossRows: Int32Array.from(lossRows),
    labels: Int32Array.from(labels),
  };
}
