// The input files of `prepare`: files, folders and patterns, in an order that depends on nothing but their names.

import { stat } from 'node:fs/promises';
import { join, normalize, resolve } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { UserError } from '../util/errors.js';

/** `text`: a file is a document. `jsonl`: a line is a document, or a pair. `tsv`: a line is a pair. */
export type InputFormat = 'text' | 'jsonl' | 'tsv';

export interface InputFile {
  readonly path: string;
  readonly format: InputFormat;
  readonly gzip: boolean;
  /** Size on disk. */
  readonly bytes: number;
}

const EXTENSIONS: Readonly<Record<string, InputFormat>> = {
  '.txt': 'text',
  '.jsonl': 'jsonl',
  '.tsv': 'tsv',
};

/**
 * Finds the files that the arguments name. Arguments stay in the order given; what a folder (with all folders in it) or
 * a pattern yields is sorted by path. A file named twice is read once. Folders and patterns yield the formats that fit:
 * .txt and .jsonl, or with `pairs` .tsv and .jsonl, each also as .gz.
 * @throws UserError INPUT_NOT_FOUND, INPUT_FORMAT
 */
export async function findInputs(args: readonly string[], pairs: boolean): Promise<InputFile[]> {
  const found = new Map<string, InputFile>();
  for (const arg of args) {
    for (const file of await expand(arg, pairs)) {
      const path = resolve(file.path);
      if (!found.has(path)) found.set(path, file);
    }
  }
  return [...found.values()];
}

async function expand(arg: string, pairs: boolean): Promise<InputFile[]> {
  const info = await stat(arg).catch(() => null);
  if (info?.isFile()) return [await describeNamed(arg, pairs)];
  if (info?.isDirectory()) {
    const names = await glob('**/*', { cwd: arg, dot: false });
    return describeAll(
      arg,
      names.map((name) => join(arg, name)),
      pairs,
    );
  }
  if (isDynamicPattern(arg)) {
    const names = await glob(arg, { expandDirectories: false });
    return describeAll(arg, names.map(normalize), pairs);
  }
  throw new UserError('INPUT_NOT_FOUND', `expected a file, a folder or a pattern, but there is no ${arg}.`);
}

async function describeNamed(path: string, pairs: boolean): Promise<InputFile> {
  const file = await describe(normalize(path));
  if (file !== null && fits(file.format, pairs)) return file;
  const expected = pairs
    ? 'pairs come as .tsv or .jsonl (or .gz of them)'
    : 'text comes as .txt or .jsonl (or .gz of them); for pairs of sentences add --pairs';
  throw new UserError('INPUT_FORMAT', `cannot read ${path}: ${expected}.`);
}

async function describeAll(arg: string, paths: readonly string[], pairs: boolean): Promise<InputFile[]> {
  const sorted = [...paths].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const files: InputFile[] = [];
  for (const path of sorted) {
    const file = await describe(path);
    if (file !== null && fits(file.format, pairs)) files.push(file);
  }
  if (files.length > 0) return files;
  const kinds = pairs ? '.tsv or .jsonl' : '.txt or .jsonl';
  throw new UserError('INPUT_NOT_FOUND', `expected ${kinds} files (or .gz of them) in ${arg}, found none.`);
}

function fits(format: InputFormat, pairs: boolean): boolean {
  return format === 'jsonl' || (format === 'tsv') === pairs;
}

/** Null when the name's ending is not one of ours. */
async function describe(path: string): Promise<InputFile | null> {
  const match = /(\.[^./\\]+?)(\.gz)?$/i.exec(path);
  const format = EXTENSIONS[match?.[1]?.toLowerCase() ?? ''];
  if (format === undefined) return null;
  return { path, format, gzip: match?.[2] !== undefined, bytes: (await stat(path)).size };
}
