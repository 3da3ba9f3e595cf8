// A small data set for runs of real processes, and what those runs are compared by.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { wordText } from '../../bench/support/word-text.js';
import { prepare } from '../../src/data/prepare.js';

export interface SmallData {
  readonly words?: number;
  readonly distinctWords?: number;
  readonly vocabularySize?: number;
  readonly validationShare?: number;
}

/** The beginning of a config that trains a small model on that data set. */
export const WORDS_CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 64, heads: 4, feedForward: 128, encoderLayers: 1, decoderLayers: 1, maxLength: 32, norm: pre }
objective: { kind: masked, rate: 0.3 }
window: 24
batch: { microBatches: 6, samples: 4 }`;

/** Makes the data set `data` in `folder`. */
export async function prepareWords(
  folder: string,
  { words = 3000, distinctWords = 701, vocabularySize = 400, ...shares }: SmallData = {},
): Promise<void> {
  const text = path.join(folder, 'text.txt');
  await writeFile(text, wordText(words, distinctWords));
  await prepare({ inputs: [text], out: path.join(folder, 'data'), vocabularySize, ...shares });
}

/** A new folder with `run.yaml`, which holds `config`, and the data set `data`. */
export async function folderWithData(config: string, data: SmallData = {}): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lockstep-run-'));
  await writeFile(path.join(folder, 'run.yaml'), config);
  await prepareWords(folder, data);
  return folder;
}

export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** SHA-256 of the weights and of the optimiser's state that the run in `directory` had saved after `step` steps. */
export async function hashOfTrained(directory: string, step: number): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ['model.safetensors', 'optimizer.safetensors']) {
    hash.update(await readFile(path.join(directory, 'checkpoints', `step-${step}`, name)));
  }
  return hash.digest('hex');
}
