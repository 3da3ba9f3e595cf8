// How much room a file system has left.

import { statfs } from 'node:fs/promises';
import type { Folder } from './folder.js';
import { isUrl } from './open-folder.js';

export interface Room {
  /** For who is not root. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** Of the file system that holds `folder`; null when it cannot be asked now, and for a store without bounds. */
export async function roomIn(folder: Folder): Promise<Room | null> {
  if (isUrl(folder.url)) return null;
  try {
    const { bavail, blocks, bsize } = await statfs(folder.url);
    return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
  } catch {
    return null;
  }
}
