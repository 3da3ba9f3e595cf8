// What the commands that use a model have in common: their arguments, their input as lines, and batches of it.

import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { Tokenizer } from '../data/tokenizer.js';
import type { ObjectiveConfig } from '../model/objectives.js';
import { messageOf, UserError } from '../util/errors.js';
import type { ModelOptions, GivenModel } from './model.js';
import { integerOrAuto } from './options.js';
import type { Output } from './output.js';

/** A command whose first argument is a model. */
export function modelCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument('<model>', 'a run (its newest checkpoint), a checkpoint, or a Hugging Face model directory')
    .option('--threads <n>', 'compute threads, or auto: one per core', integerOrAuto(1, 1024), 'auto');
}

/** Opens the model, uses it and closes it again. */
export async function withModel(
  given: string,
  options: ModelOptions,
  use: (model: GivenModel) => Promise<void>,
): Promise<void> {
  const { openGivenModel } = await import('./model.js');
  const model = await openGivenModel(given, options);
  try {
    await use(model);
  } finally {
    model.dispose();
  }
}

/** The command that uses a model of each objective. */
const USED_BY = { masked: 'fill', causal: 'generate', seq2seq: 'translate' } as const;

/** Refuses a model that was trained for something else, and names the command for it. */
export function expectObjective(model: GivenModel, kinds: readonly ObjectiveConfig['kind'][]): void {
  const trained = model.run?.objective.kind;
  if (trained === undefined || kinds.includes(trained)) return;
  throw new UserError(
    'OBJECTIVE_UNSUITED',
    `${model.folder.url} was trained with objective ${trained}, expected ${kinds.join(' or ')}: use \`npx lockstep ${USED_BY[trained]}\``,
  );
}

export interface Line {
  readonly text: string;
  /** What the user would call it: "text 2", "line 7". */
  readonly name: string;
}

/** The texts given as arguments; without any, the lines of standard input. */
export async function* inputLines(
  texts: readonly string[],
  output: Output,
): AsyncGenerator<Line, void, undefined> {
  if (texts.length > 0) {
    for (const [i, text] of texts.entries()) yield { text, name: `text ${i + 1}` };
    return;
  }
  if (readsTerminal(texts)) output.note('reading texts from the terminal, one per line; Ctrl-D ends');
  let number = 0;
  for await (const text of linesOf(process.stdin)) yield { text, name: `line ${++number}` };
}

/** Whether a person types the input: then each line is answered at once, not in batches. */
export function readsTerminal(texts: readonly string[]): boolean {
  return texts.length === 0 && process.stdin.isTTY;
}

/** The lines of a file ("-": standard input), as they come. Throws UserError INPUT_UNREADABLE. */
export async function* fileLines(file: string): AsyncGenerator<string, void, undefined> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  try {
    yield* linesOf(stream);
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new UserError('INPUT_UNREADABLE', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** Lines without their ends; a byte order mark is dropped. */
async function* linesOf(stream: Readable): AsyncGenerator<string, void, undefined> {
  stream.setEncoding('utf8');
  let rest = '';
  let first = true;
  for await (const chunk of stream) {
    const text = rest + (first ? (chunk as string).replace(/^\uFEFF/, '') : (chunk as string));
    first = false;
    const lines = text.split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  if (rest !== '') yield rest;
}

/** Cuts a stream into lists of `size`. When it fails, what came before the failure is handed on first. */
export async function* inBatches<T>(
  items: AsyncIterable<T>,
  size: number,
): AsyncGenerator<T[], void, undefined> {
  let batch: T[] = [];
  try {
    for await (const item of items) {
      batch.push(item);
      if (batch.length < size) continue;
      const full = batch;
      batch = [];
      yield full;
    }
  } catch (error) {
    if (batch.length > 0) yield batch;
    throw error;
  }
  if (batch.length > 0) yield batch;
}

/** Refuses a source that does not fit the model. */
export function expectFits(line: Line, tokens: number, maxLength: number): void {
  if (tokens <= maxLength) return;
  throw new UserError(
    'TEXT_TOO_LONG',
    `${line.name}: expected at most ${maxLength} tokens with the end token (the model's maxLength), got ${tokens}`,
  );
}

/**
 * Ids of a text with masks, as training made them: there a mask stands for a token with the space before it, so the
 * space before a mask is left out.
 */
export function encodeMasked(tokenizer: Tokenizer, text: string): Promise<Int32Array> {
  const { mask } = tokenizer.specialTokens;
  return tokenizer.encode(text.replaceAll(` ${mask}`, mask));
}
