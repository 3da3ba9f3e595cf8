// Finds the checkpoints of a run: what a reader accepts, and what a crash left.

import type { Folder } from './folder.js';
import { inspectManifest, totalBytes } from './manifest.js';
import { stepOfName } from './names.js';
import { newestFirst } from './retention.js';
import { readState } from './state.js';
import { inspectCheckpoint, verifyCheckpoint } from './verify.js';

/** A folder that is named like a checkpoint, whatever it holds. */
export interface CheckpointFolder {
  readonly folder: Folder;
  /** In its name. */
  readonly step: number;
}

export interface CheckpointInfo {
  readonly folder: Folder;
  /** Where it lies, as a user writes it. */
  readonly directory: string;
  /** Version of the parameters. */
  readonly step: number;
  readonly term: number;
  /** Of all its files. */
  readonly bytes: number;
  readonly validationLoss: number | null;
}

/** Folders in `checkpoints` that are named like a checkpoint, whatever they hold. */
export async function checkpointFolders(checkpoints: Folder): Promise<CheckpointFolder[]> {
  const found: CheckpointFolder[] = [];
  for (const { name, bytes } of await checkpoints.list()) {
    const step = stepOfName(name);
    if (bytes === null && step !== null) found.push({ folder: checkpoints.at(name), step });
  }
  return found;
}

/** Describes a checkpoint; null when its manifest is not valid or is of another step. */
async function describeCheckpoint({ folder, step }: CheckpointFolder): Promise<CheckpointInfo | null> {
  const result = await inspectManifest(folder);
  if (result.status !== 'whole' || result.manifest.step !== step) return null;
  const { term, files } = result.manifest;
  // A damaged state.json is for the sums to find: here it only means that the loss is not known.
  const state = await readState(folder).catch(() => null);
  const validationLoss = state?.validationLoss ?? null;
  return { folder, directory: folder.url, step, term, bytes: totalBytes(files), validationLoss };
}

/** The checkpoints in `checkpoints` whose manifest is valid, newest first. Sums are not computed. */
export async function listCheckpoints(checkpoints: Folder): Promise<CheckpointInfo[]> {
  const found = await Promise.all((await checkpointFolders(checkpoints)).map(describeCheckpoint));
  return found.filter((info) => info !== null).sort(newestFirst);
}

/** The newest checkpoint in `checkpoints` of which every file has its sum; null when there is none. */
export async function newestWhole(checkpoints: Folder): Promise<CheckpointInfo | null> {
  for (const info of await listCheckpoints(checkpoints)) {
    if ((await verifyCheckpoint(info.folder)).status === 'whole') return info;
  }
  return null;
}

export interface DamagedCheckpoint extends CheckpointFolder {
  readonly problem: string;
}

/** Those in `checkpoints` that were finished and are damaged since, as far as manifest and sizes tell; newest first. */
export async function damagedCheckpoints(checkpoints: Folder): Promise<DamagedCheckpoint[]> {
  const found = (await checkpointFolders(checkpoints)).map(async ({ folder, step }) => {
    const { status, problems } = await inspectCheckpoint(folder);
    return status === 'damaged' ? { folder, step, problem: problems.join('; ') } : null;
  });
  return (await Promise.all(found)).filter((damaged) => damaged !== null).sort((a, b) => b.step - a.step);
}
