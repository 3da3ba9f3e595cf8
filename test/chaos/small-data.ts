// A small data set for runs of real processes, in a folder of its own that the tests' end removes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { prepare } from '../../src/data/prepare.js';

/** A folder with `run.yaml`, which holds `config`, and the data set `data`. */
export async function folderWithData(config: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lockstep-chaos-'));
  const words = Array.from({ length: 3000 }, (_, i) => `w${(i * i + 7 * i) % 701}`);
  await writeFile(path.join(folder, 'text.txt'), words.join(' '));
  await writeFile(path.join(folder, 'run.yaml'), config);
  await prepare({
    inputs: [path.join(folder, 'text.txt')],
    out: path.join(folder, 'data'),
    vocabularySize: 400,
  });
  return folder;
}

export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
