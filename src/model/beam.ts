// Beam search with the length penalty of Wu et al., "Google's Neural Machine Translation System" (2016), which
// "Attention Is All You Need" decodes with: several sources at a time, each with its own beam.

import { largest, logSoftmax } from './probabilities.js';
import { rowOf, suppress, type StepDecoder } from './step-decoder.js';

export interface BeamOptions {
  readonly startId: number;
  readonly endId: number;
  /** Hypotheses kept per source; 1 is greedy decoding. */
  readonly beams: number;
  /** α of ((5 + length) / 6)^α, which divides the log-probability: 0 prefers short outputs, 0.6 is the paper's. */
  readonly lengthPenalty: number;
  /** Most new tokens, the end token included: one limit per source. */
  readonly limits: readonly number[];
  /** Tokens never produced. */
  readonly suppressed: readonly number[];
}

export interface Hypothesis {
  /** Without start and end token. */
  readonly ids: readonly number[];
  readonly ended: boolean;
  /** Natural logarithm, the end token included. */
  readonly logProbability: number;
  /** logProbability over the length penalty: what hypotheses are ranked by. */
  readonly score: number;
}

interface Live {
  readonly ids: readonly number[];
  readonly last: number;
  readonly logProbability: number;
  readonly row: number; // of the decoder
}

interface Search {
  readonly source: number;
  readonly limit: number;
  live: Live[];
  readonly finished: Hypothesis[];
}

/** The length penalty of `length` tokens. */
export function lengthPenalty(length: number, alpha: number): number {
  return ((5 + length) / 6) ** alpha;
}

/**
 * Searches every row of `decoder` (one per source; it is used up, not disposed). A source's search ends when
 * `beams` hypotheses have ended and no live one, at its present length, beats the worst of them. Returns each
 * source's hypotheses, best first, at most `beams`.
 */
export function beamSearch(decoder: StepDecoder, options: BeamOptions): Hypothesis[][] {
  const searches = options.limits.map((limit, source): Search => ({
    source,
    limit,
    live: [{ ids: [], last: options.startId, logProbability: 0, row: source }],
    finished: [],
  }));
  let open = searches.filter((search) => search.limit > 0);
  if (open.length > 0 && open.length < searches.length) regroup(decoder, open);
  while (open.length > 0) {
    const fed = open.flatMap((search) => search.live.map((hypothesis) => hypothesis.last));
    const logits = decoder.step(Int32Array.from(fed));
    for (const search of open) advance(search, logits, decoder.vocabularySize, options);
    open = open.filter((search) => search.live.length > 0);
    if (open.length > 0) regroup(decoder, open);
  }
  return searches.map((search) => ranked(search.finished).slice(0, options.beams));
}

function ranked(hypotheses: readonly Hypothesis[]): Hypothesis[] {
  return [...hypotheses].sort((a, b) => b.score - a.score);
}

/** Rows of the decoder in the order of the open searches' live hypotheses. */
function regroup(decoder: StepDecoder, open: readonly Search[]): void {
  decoder.reorder(open.flatMap((search) => search.live.map((hypothesis) => hypothesis.row)));
  let row = 0;
  for (const search of open) {
    search.live = search.live.map((hypothesis) => ({ ...hypothesis, row: row++ }));
  }
}

interface Extension {
  readonly from: Live;
  readonly token: number;
  readonly logProbability: number;
}

/** One more token: the `beams` best extensions that go on live, those among the best that end are finished. */
function advance(search: Search, logits: Float32Array, vocabularySize: number, options: BeamOptions): void {
  const { beams, endId } = options;
  const length = search.live[0]!.ids.length + 1;
  // Twice as many, so that `beams` are left to go on even if every one of the first `beams` ends.
  const best = extensions(search, logits, vocabularySize, options).slice(0, 2 * beams);
  best.slice(0, beams).forEach((extension) => {
    if (extension.token === endId) finish(search, extension, length, options);
  });
  const continuing = best.filter((extension) => extension.token !== endId).slice(0, beams);
  search.live = [];
  if (length >= search.limit) {
    continuing.forEach((extension) => finish(search, extension, length, options));
  } else if (isWorthwhile(search, continuing, length, options)) {
    search.live = continuing.map(({ from, token, logProbability }) => ({
      ids: [...from.ids, token],
      last: token,
      logProbability,
      row: from.row,
    }));
  }
}

function extensions(
  search: Search,
  logits: Float32Array,
  vocabularySize: number,
  options: BeamOptions,
): Extension[] {
  const logProbabilities = new Float64Array(vocabularySize);
  const all = search.live.flatMap((from) => {
    const row = rowOf(logits, from.row, vocabularySize);
    suppress(row, options.suppressed);
    logSoftmax(row, logProbabilities);
    return largest(logProbabilities, 2 * options.beams).map((token): Extension => ({
      from,
      token,
      logProbability: from.logProbability + logProbabilities[token]!,
    }));
  });
  return all.sort((a, b) => b.logProbability - a.logProbability); // stable: ties keep the beam's order
}

function finish(search: Search, extension: Extension, length: number, options: BeamOptions): void {
  const ended = extension.token === options.endId;
  search.finished.push({
    ids: ended ? extension.from.ids : [...extension.from.ids, extension.token],
    ended,
    logProbability: extension.logProbability,
    score: extension.logProbability / lengthPenalty(length, options.lengthPenalty),
  });
}

/** Whether a hypothesis that goes on beats, at its present length, the worst of a full set of finished ones. */
function isWorthwhile(
  search: Search,
  continuing: readonly Extension[],
  length: number,
  options: BeamOptions,
): boolean {
  const worst = ranked(search.finished)[options.beams - 1];
  if (!worst) return true;
  const best = continuing[0]?.logProbability ?? -Infinity;
  return best / lengthPenalty(length, options.lengthPenalty) > worst.score;
}
