// Opens the folder that a user names.

import { DiskFolder } from './disk-folder.js';
import type { Folder } from './folder.js';

/** The folder at a path. */
export function openFolder(location: string): Promise<Folder> {
  return Promise.resolve(new DiskFolder(location));
}
