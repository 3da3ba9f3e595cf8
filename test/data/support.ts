// What the tests of src/data share: files, and text that looks like text.

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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
