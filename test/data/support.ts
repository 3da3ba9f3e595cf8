// What the tests of src/data share: temporary folders, files, and text that looks like text.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { UserError } from '../../src/util/errors.js';

/** A folder that is removed when the test ends. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-data-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a file, with the folders it is in, and returns its path. */
export async function writeInput(
  folder: string,
  name: string,
  content: string | Uint8Array,
): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

const WORDS =
  'the sea and a whale saw Ahab of that great ship in “white” foam — naïve, 1851 o’clock don’t'.split(' ');

/** `count` words in a fixed order that does not repeat, in lines and paragraphs. */
export function story(count: number, seed = 1): string {
  let state = seed;
  let text = '';
  for (let i = 0; i < count; i++) {
    state = (state * 48271) % 2147483647;
    const word = WORDS[state % WORDS.length]!;
    text += word + (i % 71 === 70 ? '.\n\n' : i % 11 === 10 ? '\n' : ' ');
  }
  return text;
}

/** For assert.rejects and assert.throws: a UserError with this code, whose message matches. */
export function userError(code: string, message: RegExp = /./): (error: unknown) => boolean {
  return (error) => error instanceof UserError && error.code === code && message.test(error.message);
}
