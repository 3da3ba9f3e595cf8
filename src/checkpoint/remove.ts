// Deletes checkpoint directories in an order that no crash can turn into a half checkpoint that looks whole.

import { rm } from 'node:fs/promises';
import path from 'node:path';
import { syncPath } from './files.js';
import { checkpointDirectories } from './list.js';
import { inspectManifest, MANIFEST } from './manifest.js';

function ignoreMissing(error: NodeJS.ErrnoException): false {
  if (error.code !== 'ENOENT') throw error;
  return false;
}

/** Deletes a checkpoint: first its manifest, from when on it is none, then the rest. */
export async function removeCheckpoint(directory: string): Promise<void> {
  const manifest = path.join(directory, MANIFEST);
  const existed = await rm(manifest).then(() => true, ignoreMissing);
  if (existed) await syncPath(directory);
  await rm(directory, { recursive: true, force: true });
}

/**
 * Deletes what was begun and never finished: directories without a complete manifest. Only for the run's owner, before
 * it begins a checkpoint. Finished checkpoints stay, damaged ones too. Returns what it deleted.
 */
export async function removeTornCheckpoints(checkpoints: string): Promise<string[]> {
  const removed: string[] = [];
  for (const directory of await checkpointDirectories(checkpoints)) {
    if ((await inspectManifest(directory)).status !== 'torn') continue;
    await removeCheckpoint(directory);
    removed.push(directory);
  }
  return removed;
}
