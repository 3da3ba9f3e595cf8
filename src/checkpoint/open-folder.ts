// Opens the folder that a user names: a path, or the URL of an object store, whose client is loaded only then.

import { DiskFolder } from './disk-folder.js';
import type { Folder } from './folder.js';

export function isUrl(location: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(location);
}

/** How long a store may be silent at first; in a run it is waited for longer. */
const PATIENCE_MS = 30_000;

/** The folder at a path or an s3:// URL, to be read. Throws UserError URL_INVALID, and STORE_FAILED where no store answers. */
export async function openFolder(location: string): Promise<Folder> {
  if (!isUrl(location)) return new DiskFolder(location);
  const { openS3 } = await import('./s3-open.js');
  const folder = openS3(location);
  await folder.knock(PATIENCE_MS);
  return folder;
}

/**
 * The folder at a path or an s3:// URL, to be written by a coordinator; `spool`: where on this machine files may lie until they
 * are uploaded. Throws UserError STORE_UNSUITED when exclusive creation is not to be had there.
 */
export async function openStorage(location: string, spool: string): Promise<Folder> {
  if (!isUrl(location)) return new DiskFolder(location);
  const { openS3, probeExclusiveCreation } = await import('./s3-open.js');
  const folder = openS3(location, { spool });
  await folder.knock(PATIENCE_MS);
  await probeExclusiveCreation(folder);
  return folder;
}
