// Fills masks. The model's decoder predicts the original text, so the known tokens are forced on it, left to
// right, and it chooses only at the masks.
//
// A model trained to hide single tokens puts one token into each mask: a beam search over the masks, ranked by
// the probability of the chosen tokens. A model trained to hide spans has one mask for a span of unknown
// length: each mask in turn takes the candidate of 1 … maxSpan tokens that, together with the known text that
// follows it (up to the next mask, at most `lookahead` tokens), has the best mean log-probability. The text that
// follows is what tells lengths apart: after a span that is too short or too long it is improbable.

import { assert } from '../util/errors.js';
import { largest, logSoftmax } from './probabilities.js';
import { rowOf } from './step-decoder.js';

/** What filling asks of a model: predictions for one source, given the beginning of its target. */
export interface TargetModel {
  readonly vocabularySize: number; // V
  /** Logits [prefixes, V] of the token after each prefix; all prefixes have the same length. */
  next(prefixes: readonly (readonly number[])[]): Float32Array;
  /** For each target, log p(target[t] | source, target[..t)) of its positions t ≥ from; natural logarithm. */
  logProbabilities(targets: readonly (readonly number[])[], from: number): ArrayLike<number>[];
}

export interface FillOptions {
  readonly maskId: number;
  /** Tokens never put into a mask: padding, end, the mask itself. */
  readonly excluded: readonly number[];
  /** Tokens that each mask in turn does not begin with; default: none. */
  readonly neverFirst?: readonly (readonly number[])[];
  /** Most tokens for one mask; 1: exactly one token per mask. */
  readonly maxSpan: number;
  /** Hypotheses kept at a time. */
  readonly beam: number;
  /** How many alternatives are reported per mask. */
  readonly alternatives: number;
  /** Known tokens after a mask that help to decide its length. */
  readonly lookahead: number;
}

export interface MaskFill {
  /** What the mask was replaced with. */
  readonly ids: readonly number[];
  /** Where it begins in the filled text. */
  readonly position: number;
  /** The best choices for this mask, best first, given what was chosen before it. */
  readonly alternatives: readonly Alternative[];
}

export interface Alternative {
  readonly ids: readonly number[];
  /** log p(ids | source, the text before the mask). */
  readonly logProbability: number;
}

export interface Filled {
  /** The pattern with its masks replaced. */
  readonly ids: readonly number[];
  readonly masks: readonly MaskFill[];
  /** Sum of the chosen tokens' log-probabilities. */
  readonly logProbability: number;
}

/** Replaces every `maskId` in `pattern`. `model` must have been given the pattern as its source. */
export function fill(model: TargetModel, pattern: readonly number[], options: FillOptions): Filled {
  assert(options.maxSpan >= 1 && options.beam >= 1, 'fill: maxSpan and beam must be at least 1');
  return options.maxSpan === 1 ? fillTokens(model, pattern, options) : fillSpans(model, pattern, options);
}

const EMPTY: Filled = { ids: [], masks: [], logProbability: 0 };

function fillTokens(model: TargetModel, pattern: readonly number[], options: FillOptions): Filled {
  let beam: Filled[] = [EMPTY];
  let done = 0; // tokens of the pattern already in every hypothesis
  for (const [i, mask] of positionsOf(pattern, options.maskId).entries()) {
    const known = pattern.slice(done, mask);
    beam = beam.map((hypothesis) => ({ ...hypothesis, ids: [...hypothesis.ids, ...known] }));
    const logits = model.next(beam.map((hypothesis) => hypothesis.ids));
    beam = beam
      .flatMap((hypothesis, row) => {
        const choices = bestTokens(
          rowOf(logits, row, model.vocabularySize),
          options,
          options.neverFirst?.[i],
        );
        return choices.slice(0, options.beam).map((choice) => chosen(hypothesis, choice, choices, options));
      })
      .sort((a, b) => b.logProbability - a.logProbability)
      .slice(0, options.beam);
    done = mask + 1;
  }
  const best = beam[0]!;
  return { ...best, ids: [...best.ids, ...pattern.slice(done)] };
}

function fillSpans(model: TargetModel, pattern: readonly number[], options: FillOptions): Filled {
  let filled = EMPTY;
  let done = 0;
  const masks = positionsOf(pattern, options.maskId);
  masks.forEach((mask, i) => {
    const prefix = [...filled.ids, ...pattern.slice(done, mask)];
    const end = Math.min(masks[i + 1] ?? pattern.length, mask + 1 + options.lookahead);
    const choices = rankSpans(model, prefix, pattern.slice(mask + 1, end), options, options.neverFirst?.[i]);
    filled = chosen({ ...filled, ids: prefix }, choices[0]!, choices, options);
    done = mask + 1;
  });
  return { ...filled, ids: [...filled.ids, ...pattern.slice(done)] };
}

function positionsOf(pattern: readonly number[], maskId: number): number[] {
  return [...pattern.keys()].filter((position) => pattern[position] === maskId);
}

function chosen(
  before: Filled,
  choice: Alternative,
  choices: readonly Alternative[],
  options: FillOptions,
): Filled {
  const alternatives = choices.slice(0, options.alternatives);
  return {
    ids: [...before.ids, ...choice.ids],
    masks: [...before.masks, { ids: choice.ids, position: before.ids.length, alternatives }],
    logProbability: before.logProbability + choice.logProbability,
  };
}

/**
 * The most probable next tokens, best first, without the excluded ones and those of `never`. Probabilities are over the whole
 * vocabulary, those tokens too.
 */
function bestTokens(
  logits: Float32Array,
  options: FillOptions,
  never: readonly number[] = [],
): Alternative[] {
  const logProbabilities = new Float64Array(logits.length);
  logSoftmax(logits, logProbabilities);
  for (const ids of [options.excluded, never]) for (const id of ids) logProbabilities[id] = -Infinity;
  return largest(logProbabilities, Math.max(options.beam, options.alternatives)).map((id) => ({
    ids: [id],
    logProbability: logProbabilities[id]!,
  }));
}

/** Candidates of every length for one mask, ranked by the mean log-probability of themselves and what follows. */
function rankSpans(
  model: TargetModel,
  prefix: readonly number[],
  following: readonly number[],
  options: FillOptions,
  neverFirst?: readonly number[],
): Alternative[] {
  const candidates = spanCandidates(model, prefix, options, neverFirst);
  const scored = model.logProbabilities(
    candidates.map((candidate) => [...prefix, ...candidate.ids, ...following]),
    prefix.length,
  );
  return candidates
    .map((candidate, i) => ({ candidate, mean: mean(scored[i]!) }))
    .sort((a, b) => b.mean - a.mean)
    .map(({ candidate }) => candidate);
}

/** The beam's hypotheses at each length from 1 to `maxSpan`. */
function spanCandidates(
  model: TargetModel,
  prefix: readonly number[],
  options: FillOptions,
  neverFirst?: readonly number[],
): readonly Alternative[] {
  const all: Alternative[] = [];
  let beam: Alternative[] = [{ ids: [], logProbability: 0 }];
  for (let length = 1; length <= options.maxSpan; length++) {
    const logits = model.next(beam.map((candidate) => [...prefix, ...candidate.ids]));
    beam = beam
      .flatMap((candidate, row) => {
        const never = length === 1 ? neverFirst : [];
        return bestTokens(rowOf(logits, row, model.vocabularySize), options, never).map((token) => ({
          ids: [...candidate.ids, ...token.ids],
          logProbability: candidate.logProbability + token.logProbability,
        }));
      })
      .sort((a, b) => b.logProbability - a.logProbability)
      .slice(0, Math.max(options.beam, options.alternatives));
    all.push(...beam);
  }
  return all;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
