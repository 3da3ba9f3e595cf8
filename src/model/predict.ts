// What trained models are used for: filling masks, writing on, translating. Ids in, ids out; texts are their callers'.
import { beamSearch, type Hypothesis } from './beam.js';
import type { ModelConfig } from './config.js';
import { fill, type Filled, type FillOptions } from './fill.js';
import { generate, type Generated } from './generate.js';
import type { ObjectiveConfig } from './objectives.js';
import type { SamplingOptions } from './sampling-strategies.js';
import type { Transformer } from './transformer.js';
import { TransformerDecoder } from './transformer-decoder.js';
import { TransformerTarget } from './transformer-target.js';

/** Known tokens after a span's mask by which its length is chosen. */
const LOOKAHEAD = 8;
/** "Attention Is All You Need" allows outputs that are this much longer than their inputs. */
const EXTRA_TOKENS = 50;

/** Most tokens for one mask, by how the model was trained. */
export function defaultMaxSpan(objective: ObjectiveConfig | undefined): number {
  if (objective?.kind !== 'masked' || objective.corruption === 'token') return 1;
  return Math.ceil(2 * objective.meanSpan);
}

/** @param never what is put into no mask, beside the model's own special tokens */
export function fillMasks(
  transformer: Transformer,
  pattern: readonly number[],
  never: readonly number[],
  options: Omit<FillOptions, 'excluded' | 'lookahead'>,
): Filled {
  const { padId, endId } = transformer.config;
  const target = new TransformerTarget(transformer, [...pattern, endId]);
  const excluded = [...new Set([...never, padId, endId])];
  try {
    return fill(target, pattern, { ...options, excluded, lookahead: LOOKAHEAD });
  } finally {
    target.dispose();
  }
}

/** Tokens that stand for no text and are never written. The end token may be one of them in a foreign model. */
function neverWritten({ padId, startId, endId }: ModelConfig, maskId: number): number[] {
  return [padId, startId, maskId].filter((id) => id !== endId);
}

export interface WritingOptions {
  readonly maxNewTokens: number;
  readonly maskId: number;
  /** null: greedily. */
  readonly sampling: SamplingOptions | null;
  readonly seed: number;
  /** Number of the first text among all of the run. */
  readonly firstSequence: number;
}

/** What the model writes after each prompt. */
export function writeOn(
  transformer: Transformer,
  prompts: readonly Int32Array[],
  { maxNewTokens, maskId, ...options }: WritingOptions,
): Generated[] {
  const { startId, endId } = transformer.config;
  const sources = prompts.map((ids) => Int32Array.from([...ids, endId]));
  const decoder = new TransformerDecoder(transformer, sources);
  const limits = prompts.map(() => maxNewTokens);
  const suppressed = neverWritten(transformer.config, maskId);
  try {
    return generate(decoder, { ...options, startId, endId, limits, suppressed });
  } finally {
    decoder.dispose();
  }
}

export interface TranslationOptions {
  /** Hypotheses kept of each; 1 is greedy. */
  readonly beams: number;
  readonly lengthPenalty: number;
  /** null: the source's and EXTRA_TOKENS. */
  readonly maxNewTokens: number | null;
  readonly maskId: number;
}

/** The most probable targets of each source, best first. */
export function translate(
  transformer: Transformer,
  texts: readonly Int32Array[],
  { beams, lengthPenalty, maxNewTokens, maskId }: TranslationOptions,
): Hypothesis[][] {
  if (texts.length === 0) return [];
  const { startId, endId, maxLength } = transformer.config;
  const sources = texts.map((ids) => Int32Array.from([...ids, endId]));
  const decoder = new TransformerDecoder(transformer, sources);
  const limits = sources.map((ids) => Math.min(maxNewTokens ?? ids.length + EXTRA_TOKENS, maxLength));
  const suppressed = neverWritten(transformer.config, maskId);
  try {
    return beamSearch(decoder, { startId, endId, beams, lengthPenalty, limits, suppressed });
  } finally {
    decoder.dispose();
  }
}
