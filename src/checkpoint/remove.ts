// Deletes checkpoints in an order that no crash can turn into a half checkpoint that looks whole.

import type { Folder } from './folder.js';
import { checkpointFolders } from './list.js';
import { inspectManifest, MANIFEST } from './manifest.js';

/** Deletes a checkpoint: first its manifest, from when on it is none, then the rest. */
export async function removeCheckpoint(checkpoint: Folder): Promise<void> {
  await checkpoint.remove(MANIFEST);
  await checkpoint.removeAll();
}

/**
 * Deletes what was begun and never finished: folders without a complete manifest. Only for the run's owner, before
 * it begins a checkpoint. Finished checkpoints stay, damaged ones too, and those of `belowStep` and later. Returns what it deleted.
 */
export async function removeTornCheckpoints(checkpoints: Folder, belowStep = Infinity): Promise<string[]> {
  const removed: string[] = [];
  for (const { folder, step } of await checkpointFolders(checkpoints)) {
    if (step >= belowStep) continue;
    if ((await inspectManifest(folder)).status !== 'unfinished') continue;
    await removeCheckpoint(folder);
    removed.push(folder.url);
  }
  return removed;
}
