// Finds the checkpoints of a run: what a reader accepts, and what a crash left.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { inspectManifest, totalBytes } from './manifest.js';
import { stepOfName } from './names.js';
import { newestFirst } from './retention.js';
import { readState } from './state.js';

export interface CheckpointInfo {
  readonly directory: string;
  /** Version of the parameters. */
  readonly step: number;
  readonly term: number;
  /** Of all its files. */
  readonly bytes: number;
  readonly validationLoss: number | null;
}

/** Directories under `checkpoints` that are named like a checkpoint, whatever they hold. */
export async function checkpointDirectories(checkpoints: string): Promise<string[]> {
  const entries = await readdir(checkpoints, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isDirectory() && stepOfName(entry.name) !== null)
    .map((entry) => path.join(checkpoints, entry.name));
}

/** Describes the checkpoint at `directory`; null when its manifest is not valid or is of another step. */
export async function describeCheckpoint(directory: string): Promise<CheckpointInfo | null> {
  const result = await inspectManifest(directory);
  if (result.status !== 'valid') return null;
  const { step, term } = result.manifest;
  if (stepOfName(path.basename(directory)) !== step) return null;
  // A damaged state.json is for the sums to find: here it only means that the loss is not known.
  const state = await readState(directory).catch(() => null);
  const validationLoss = state?.validationLoss ?? null;
  return { directory, step, term, bytes: totalBytes(result.manifest.files), validationLoss };
}

/** The checkpoints under `checkpoints` whose manifest is valid, newest first. Sums are not computed. */
export async function listCheckpoints(checkpoints: string): Promise<CheckpointInfo[]> {
  const found = await Promise.all((await checkpointDirectories(checkpoints)).map(describeCheckpoint));
  return found.filter((info) => info !== null).sort(newestFirst);
}

/** Directories under `checkpoints` that were finished and are damaged since, as far as manifest and sizes tell. */
export async function damagedCheckpoints(
  checkpoints: string,
): Promise<{ readonly directory: string; readonly step: number; readonly problem: string }[]> {
  const found = await Promise.all(
    (await checkpointDirectories(checkpoints)).map(async (directory) => {
      const result = await inspectManifest(directory);
      const step = stepOfName(path.basename(directory))!;
      if (result.status !== 'valid') {
        return result.status === 'bad' ? { directory, step, problem: result.problem } : null;
      }
      const found = result.manifest.step;
      return found === step ? null : { directory, step, problem: `its manifest is of step ${found}` };
    }),
  );
  return found.filter((damaged) => damaged !== null);
}
