// `lockstep fill`: puts words in the place of masks.

import type { Command } from 'commander';
import type { Tokenizer } from '../data/tokenizer.js';
import type { Alternative, Filled } from '../model/fill.js';
import { UserError } from '../util/errors.js';
import { excerpt } from '../util/format.js';
import {
  encodeMasked,
  expectFits,
  expectObjective,
  inputLines,
  modelCommand,
  withModel,
  type Line,
} from './model-command.js';
import type { ModelOptions, GivenModel } from './model.js';
import { integerArgument } from './options.js';
import { outputOf, type Output } from './output.js';

export interface FillCommandOptions {
  readonly top: number;
  readonly beam: number;
  readonly maxSpan?: number;
}

export function register(program: Command): void {
  modelCommand(program, 'fill', 'fill the masks in texts')
    .argument('[text...]', 'texts with <mask> in the place of words; without any, lines of standard input')
    .option('--top <n>', 'alternatives shown for each mask', integerArgument(1, 1000), 5)
    .option('--beam <n>', 'hypotheses kept while filling', integerArgument(1, 1000), 4)
    .option(
      '--max-span <n>',
      'most tokens for one mask (default: 1, or twice the mean span of a model trained on spans)',
      integerArgument(1, 100),
    )
    .action(
      async (
        given: string,
        texts: string[],
        options: FillCommandOptions & ModelOptions,
        command: Command,
      ) => {
        const output = outputOf(command);
        await withModel(given, options, (model) => fillTexts(model, texts, options, output));
      },
    );
}

/** Fills the masks of each text and prints it with the alternatives. */
export async function fillTexts(
  model: GivenModel,
  texts: readonly string[],
  options: FillCommandOptions,
  output: Output,
): Promise<void> {
  expectObjective(model, ['masked']);
  const tokenizer = await model.tokenizer();
  const { defaultMaxSpan } = await import('../model/predict.js');
  const maxSpan = options.maxSpan ?? defaultMaxSpan(model.run?.objective);
  const settings = {
    ...options,
    maxSpan,
    unsuited: unsuitedTokens(await tokenizer.texts(), tokenizer.specialIds, maxSpan),
  };
  for await (const line of inputLines(texts, output)) await fillOne(model, tokenizer, line, settings, output);
}

interface Settings extends FillCommandOptions {
  readonly maxSpan: number;
  readonly unsuited: UnsuitedTokens;
}

/** Ids that would give the filled text other spaces or lines than the given one. */
interface UnsuitedTokens {
  readonly anywhere: readonly number[];
  /** At the beginning of a mask that stands behind white space or first in a text, and of one that stands behind text. */
  readonly behindSpace: readonly number[];
  readonly behindText: readonly number[];
}

/**
 * @param texts what each token adds behind other text
 * @param special ids that no mask takes
 */
export function unsuitedTokens(
  texts: readonly string[],
  special: readonly number[],
  maxSpan: number,
): UnsuitedTokens {
  const specialIds = new Set(special);
  const ids = [...texts.keys()].filter((id) => !specialIds.has(id));
  // A part of a character is no text as long as the rest of it cannot follow.
  const isUnsuited = (id: number): boolean => (maxSpan === 1 ? /[\n\r\uFFFD]/ : /[\n\r]/).test(texts[id]!);
  const suited = ids.filter((id) => !isUnsuited(id));
  // Where none begins so, it does not matter: spaces may be tokens of their own, or stand before every token.
  const notLike = (beginning: RegExp): number[] => {
    const others = suited.filter((id) => !beginning.test(texts[id]!));
    return others.length < suited.length ? others : [];
  };
  return { anywhere: ids.filter(isUnsuited), behindSpace: notLike(/^\s\S/), behindText: notLike(/^\S/) };
}

async function fillOne(
  model: GivenModel,
  tokenizer: Tokenizer,
  line: Line,
  { maxSpan, beam, top, unsuited }: Settings,
  output: Output,
): Promise<void> {
  const { fillMasks } = await import('../model/predict.js');
  const { maskId, specialIds } = tokenizer;
  const { mask } = tokenizer.specialTokens;
  const pattern = [...(await encodeMasked(tokenizer, line.text))];
  const masks = pattern.filter((id) => id === maskId).length;
  if (masks === 0) {
    throw new UserError(
      'NO_MASK',
      `${line.name}: expected at least one ${mask}, got ${JSON.stringify(excerpt(line.text))}`,
    );
  }
  const { maxLength } = model.config;
  expectFits(line, Math.max(pattern.length + 1, pattern.length + masks * (maxSpan - 1)), maxLength);
  const gaps = line.text.split(mask);
  const neverFirst = gaps.map((before, i) =>
    /\s$/.test(before) || (i === 0 && before === '') ? unsuited.behindSpace : unsuited.behindText,
  );
  const never = [...specialIds, ...unsuited.anywhere];
  const filled = fillMasks(model.transformer, pattern, never, {
    maskId,
    maxSpan,
    beam,
    alternatives: top,
    neverFirst,
  });
  const result = await resultOf(tokenizer, line.text, gaps, filled);
  output.result(result, textOf(result));
}

interface ShownAlternative {
  readonly text: string;
  readonly ids: readonly number[];
  readonly probability: number;
}

interface Result {
  readonly text: string;
  readonly filled: string;
  /** Of all chosen tokens together; natural logarithm. */
  readonly logProbability: number;
  readonly masks: readonly { readonly text: string; readonly alternatives: readonly ShownAlternative[] }[];
}

/** @param gaps what stands before, between and behind the masks of the text */
async function resultOf(
  tokenizer: Tokenizer,
  text: string,
  gaps: readonly string[],
  filled: Filled,
): Promise<Result> {
  const decode = (ids: readonly number[]): Promise<string> => tokenizer.decode(ids, { skipSpecial: false });
  const shown = async ({ ids, logProbability }: Alternative): Promise<ShownAlternative> => ({
    text: await decode(ids),
    ids,
    probability: Math.exp(logProbability),
  });
  const masks = await Promise.all(
    filled.masks.map(async ({ ids, alternatives }) => ({
      text: await decode(ids),
      alternatives: await Promise.all(alternatives.map(shown)),
    })),
  );
  const words = masks.map(({ text }) => text);
  return { text, filled: withWords(gaps, words), logProbability: filled.logProbability, masks };
}

/** The gaps with words between them. A word's own space falls away where the text has white space, or begins. */
function withWords(gaps: readonly string[], words: readonly string[]): string {
  return gaps.reduce((before, after, i) => {
    const word = words[i - 1] ?? '';
    return before + (/(^|\s)$/.test(before) ? word.trimStart() : word) + after;
  });
}

function textOf(result: Result): string {
  const lines = result.masks.map(({ alternatives }, i) => {
    const shown = alternatives.map(({ text, probability }) => `${quoted(text)} ${percent(probability)}`);
    return `  mask ${i + 1}: ${shown.join('  ')}`;
  });
  return [result.filled, ...lines].join('\n');
}

/** A choice as one word where it is one: most begin with the space before it. */
function quoted(text: string): string {
  const word = text.startsWith(' ') ? text.slice(1) : text;
  return /^[\p{L}\p{N}'’-]+$/u.test(word) ? word : JSON.stringify(text);
}

function percent(probability: number): string {
  return `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;
}
