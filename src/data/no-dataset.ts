// What a user is told whose folder is no prepared data set: the command that makes one, also where the folder holds the text itself.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, UserError } from '../util/errors.js';

const TEXT = /\.(txt|jsonl|tsv)(\.gz)?$/;

/** @param cause why what makes it a data set, the file `manifest`, cannot be read */
export async function noDataset(directory: string, manifest: string, cause: unknown): Promise<UserError> {
  const names = await readdir(directory).catch((): string[] => []);
  const texts = names.includes(manifest) ? [] : names.filter((name) => TEXT.test(name)).sort();
  const shown = asTyped(directory);
  const [first] = texts;
  if (first === undefined) {
    const found = `but its ${manifest} cannot be read (${messageOf(cause)})`;
    const advice = `Make one: npx lockstep prepare INPUT --out ${shown}`;
    return refusal(`expected a prepared data set in ${directory}, ${found}. ${advice}`, cause);
  }
  const more = texts.length > 1 ? ` and ${texts.length - 1} more` : '';
  const found = `got a folder of text files (${first}${more})`;
  const out = outFor(directory);
  const pairs = texts.some((name) => /\.tsv(\.gz)?$/.test(name)) ? '--pairs ' : '';
  const advice = `Prepare them: npx lockstep prepare ${pairs}${shown} --out ${out}; then train with --set data=${out}`;
  return refusal(`expected a prepared data set in ${directory}, ${found}. ${advice}`, cause);
}

function refusal(message: string, cause: unknown): UserError {
  return new UserError('DATASET_NOT_FOUND', message, { cause });
}

/** A folder for the data set, which is not the one with the text. */
function outFor(directory: string): string {
  const out = path.join('data', path.basename(directory));
  return path.resolve(out) === path.resolve(directory) ? `${out}-prepared` : out;
}

/** Below the working directory, where it is there. */
function asTyped(directory: string): string {
  const relative = path.relative('', directory);
  return relative === '' || relative.startsWith('..') ? directory : relative;
}
