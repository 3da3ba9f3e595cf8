// Re-hashes checkpoints and says what is wrong with each. Reads only.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../util/errors.js';
import { withHasher } from './hash.js';
import { inspectManifest, totalBytes, type Manifest, type ManifestFile } from './manifest.js';
import { STATE_FILE } from './names.js';
import { parseState } from './state.js';

export interface Verdict {
  readonly directory: string;
  /** `torn`: never finished, no reader accepts it, harmless. `bad`: finished, and damaged since. */
  readonly status: 'valid' | 'torn' | 'bad';
  readonly step: number | null;
  readonly term: number | null;
  /** Of the files that the manifest lists. */
  readonly bytes: number;
  /** One sentence each, naming the file. */
  readonly problems: readonly string[];
}

/** What differs from the manifest in each of its files. */
function sumProblems(directory: string, files: readonly ManifestFile[]): Promise<(string | null)[]> {
  return withHasher((hash) =>
    Promise.all(
      files.map(async ({ name, sha256 }) => {
        try {
          const sum = await hash(path.join(directory, name));
          return sum === sha256 ? null : `${name} has SHA-256 ${sum}, expected ${sha256}`;
        } catch (error) {
          return `${name} cannot be read: ${messageOf(error)}`;
        }
      }),
    ),
  );
}

async function stateProblem(directory: string, manifest: Manifest): Promise<string | null> {
  try {
    const { step } = parseState(await readFile(path.join(directory, STATE_FILE), 'utf8'), STATE_FILE);
    return step === manifest.step
      ? null
      : `${STATE_FILE} is of step ${step}, the manifest of step ${manifest.step}`;
  } catch (error) {
    return messageOf(error);
  }
}

/** Hashes every file of the checkpoint at `directory` and compares it with the manifest. */
export async function verifyCheckpoint(directory: string): Promise<Verdict> {
  const result = await inspectManifest(directory);
  if (result.status !== 'valid') {
    const { status, problem } = result;
    return { directory, status, step: null, term: null, bytes: 0, problems: [problem] };
  }
  const { manifest } = result;
  const sums = await sumProblems(directory, manifest.files);
  const problems = sums.filter((problem) => problem !== null);
  const inState = problems.length === 0 ? await stateProblem(directory, manifest) : null;
  if (inState !== null) problems.push(inState);
  return {
    directory,
    status: problems.length === 0 ? 'valid' : 'bad',
    step: manifest.step,
    term: manifest.term,
    bytes: totalBytes(manifest.files),
    problems,
  };
}
