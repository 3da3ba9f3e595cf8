// Says whether checkpoints are whole, and what is wrong with each: by manifest and sizes, or by hashing them again.
// Reads only.

import path from 'node:path';
import { messageOf } from '../util/errors.js';
import { readText, type Folder } from './folder.js';
import { SummedFile } from './hash.js';
import { inspectManifest, totalBytes, type Manifest, type ManifestFile } from './manifest.js';
import { STATE_FILE, stepOfName } from './names.js';
import { parseState } from './state.js';

export interface Verdict {
  /** Where it lies, as a user writes it. */
  readonly directory: string;
  /** `unfinished`: never finished, no reader accepts it, harmless. `damaged`: finished, and damaged since. */
  readonly status: 'whole' | 'unfinished' | 'damaged';
  readonly step: number | null;
  readonly term: number | null;
  /** Of the files that the manifest lists. */
  readonly bytes: number;
  /** One sentence each, naming the file. */
  readonly problems: readonly string[];
}

async function sumOf(folder: Folder, name: string): Promise<string> {
  const file = new SummedFile(await folder.open(name));
  try {
    return await file.sum();
  } finally {
    await file.close();
  }
}

/** What differs from the manifest in one of its files. */
async function sumProblem(folder: Folder, { name, sha256 }: ManifestFile): Promise<string | null> {
  try {
    const sum = await sumOf(folder, name);
    return sum === sha256 ? null : `${name} has SHA-256 ${sum}, expected ${sha256}`;
  } catch (error) {
    return `${name} cannot be read: ${messageOf(error)}`;
  }
}

async function stateProblem(folder: Folder, manifest: Manifest): Promise<string | null> {
  try {
    const { step } = parseState((await readText(folder, STATE_FILE)) ?? '', STATE_FILE);
    return step === manifest.step
      ? null
      : `${STATE_FILE} is of step ${step}, the manifest of step ${manifest.step}`;
  } catch (error) {
    return messageOf(error);
  }
}

/** Compares the names and sizes of the files of the checkpoint in `folder` with its manifest. */
export function inspectCheckpoint(folder: Folder): Promise<Verdict> {
  return judge(folder, () => Promise.resolve([]));
}

/** Hashes every file of the checkpoint in `folder` and compares it with the manifest. */
export function verifyCheckpoint(folder: Folder): Promise<Verdict> {
  return judge(folder, async (manifest) => {
    const sums = await Promise.all(manifest.files.map((file) => sumProblem(folder, file)));
    const problems = sums.filter((problem) => problem !== null);
    const inState = problems.length === 0 ? await stateProblem(folder, manifest) : null;
    return inState === null ? problems : [inState];
  });
}

/** @param problemsIn what is wrong with the files of a checkpoint that holds together by manifest and sizes */
async function judge(
  folder: Folder,
  problemsIn: (manifest: Manifest) => Promise<readonly string[]>,
): Promise<Verdict> {
  const directory = folder.url;
  const result = await inspectManifest(folder);
  if (result.status !== 'whole') {
    const { status, problem } = result;
    return { directory, status, step: null, term: null, bytes: 0, problems: [problem] };
  }
  const { step, term, files } = result.manifest;
  const named = stepOfName(path.basename(directory)) ?? step;
  const problems = named === step ? await problemsIn(result.manifest) : [`its manifest is of step ${step}`];
  const status = problems.length === 0 ? 'whole' : 'damaged';
  return { directory, status, step, term, bytes: totalBytes(files), problems };
}
