// A folder on disk, also one that machines share over a network: exclusive creation is mkdir, O_EXCL and link.

import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, readFile, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectories, makeDirectory } from '../util/directories.js';
import { allocateFile, readFully } from './files.js';
import type { Entry, Folder, OpenFile, SealedFile } from './folder.js';
import { hashFile } from './hash.js';

function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Returns when everything written to `target` so far, by any process of this host, is on disk. Also for folders. */
async function sync(target: string): Promise<void> {
  const handle = await open(target, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates `file` (EEXIST if there is one), writes it, and returns when its bytes are on disk. */
async function createExclusively(file: string, data: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

class DiskFile implements OpenFile {
  constructor(
    private readonly handle: FileHandle,
    readonly bytes: number,
  ) {}

  read(into: Uint8Array, position: number): Promise<void> {
    return readFully(this.handle, into, position);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

export class DiskFolder implements Folder {
  readonly url: string;

  constructor(directory: string) {
    this.url = path.resolve(directory);
  }

  at(name: string): DiskFolder {
    return new DiskFolder(this.pathOf(name));
  }

  async make(): Promise<boolean> {
    await makeDirectories(path.dirname(this.url));
    try {
      await makeDirectory(this.url);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw error;
    }
    await sync(path.dirname(this.url));
    return true;
  }

  async list(): Promise<Entry[]> {
    const found = await readdir(this.url, { withFileTypes: true }).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
      throw error;
    });
    const entries = found.map(async (entry) => {
      if (entry.isDirectory()) return { name: entry.name, bytes: null };
      const bytes = await stat(this.pathOf(entry.name)).then(({ size }) => size, missing);
      return bytes === null ? null : { name: entry.name, bytes };
    });
    return (await Promise.all(entries)).filter((entry) => entry !== null);
  }

  read(file: string): Promise<Uint8Array | null> {
    return readFile(this.pathOf(file)).catch(missing);
  }

  async open(file: string): Promise<OpenFile> {
    const handle = await open(this.pathOf(file), 'r');
    try {
      return new DiskFile(handle, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Written beside, then linked: link is atomic on network storage, too. Without hard links a stop can leave a part. */
  async create(file: string, data: string | Uint8Array): Promise<boolean> {
    const target = this.pathOf(file);
    const temporary = `${target}.${randomUUID()}.tmp`;
    try {
      await createExclusively(temporary, data);
      await link(temporary, target).catch((error: unknown) => {
        if (hasCode(error, 'EEXIST')) throw error;
        return createExclusively(target, data);
      });
      await sync(this.url);
      return true;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      // Over a network a call that was repeated meets what it did itself the first time.
      const there = await this.read(file);
      return there !== null && Buffer.from(data).equals(there);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async replace(file: string, data: string): Promise<void> {
    const handle = await open(this.pathOf(file), constants.O_WRONLY | constants.O_CREAT);
    try {
      const bytes = Buffer.from(data);
      await handle.write(bytes, 0, bytes.byteLength, 0);
      await handle.truncate(bytes.byteLength);
    } finally {
      await handle.close();
    }
  }

  async allocate(file: string, head: Uint8Array, bytes: number): Promise<string> {
    const target = this.pathOf(file);
    await allocateFile(target, head, bytes);
    return target;
  }

  async seal(file: string): Promise<SealedFile> {
    const target = this.pathOf(file);
    await sync(target);
    return { bytes: (await stat(target)).size, sha256: await hashFile(target) };
  }

  async remove(file: string): Promise<void> {
    const removed = await rm(this.pathOf(file)).then(() => true, missing);
    if (removed === true) await sync(this.url).catch(missing);
  }

  removeAll(): Promise<void> {
    return rm(this.url, { recursive: true, force: true });
  }

  private pathOf(name: string): string {
    return path.join(this.url, name);
  }
}

function missing(error: unknown): null {
  if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
  throw error;
}
