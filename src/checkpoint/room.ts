// How much room a file system has left.

import { statfs } from 'node:fs/promises';

export interface Room {
  /** For who is not root. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** Of the file system that holds `directory`; null when it cannot be asked now. */
export async function roomAt(directory: string): Promise<Room | null> {
  try {
    const { bavail, blocks, bsize } = await statfs(directory);
    return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
  } catch {
    return null;
  }
}
