// Positioned reads from the files of a folder, with a bounded number of them open at a time.

import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, UserError } from '../util/errors.js';

/** Of one data set. */
export const MAX_OPEN = 64;

interface Entry {
  readonly handle: Promise<FileHandle>;
  /** Reads under way: an entry in use is not closed. */
  users: number;
}

/** Opens files when they are first read and closes the one unused for longest when more than `maxOpen` are open. */
export class OpenFiles {
  // In the order of last use: a Map iterates in the order of insertion.
  private readonly entries = new Map<string, Entry>();

  constructor(
    private readonly directory: string,
    private readonly maxOpen = MAX_OPEN,
    /** Asked once a file is open: throws where it may be another folder's than the first one's. */
    private readonly checkFolder: () => Promise<void> = () => Promise.resolve(),
  ) {}

  /** Files open now. */
  get count(): number {
    return this.entries.size;
  }

  /**
   * `length` bytes of a file from byte `position`.
   * @throws UserError DATASET_DAMAGED when they cannot be read or the file ends before; what `checkFolder` throws
   */
  async read(file: string, position: number, length: number): Promise<Buffer> {
    const entry = this.use(file);
    try {
      const handle = await entry.handle;
      const bytes = Buffer.alloc(length);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
        if (bytesRead === 0) throw new Error(`it ends at byte ${position + done}`);
        done += bytesRead;
      }
      return bytes;
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(
        'DATASET_DAMAGED',
        `cannot read ${length} bytes at ${position} of ${join(this.directory, file)}: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      entry.users--;
    }
  }

  /** Closes every file. Reads must be over. */
  async close(): Promise<void> {
    const entries = [...this.entries.values()];
    this.entries.clear();
    await Promise.all(entries.map(closeEntry));
  }

  private use(file: string): Entry {
    const entry = this.entries.get(file) ?? this.openEntry(file);
    this.entries.delete(file);
    this.entries.set(file, entry);
    entry.users++;
    if (this.entries.size > this.maxOpen) this.evict();
    return entry;
  }

  private openEntry(file: string): Entry {
    const entry = { handle: this.openFile(join(this.directory, file)), users: 0 };
    // A later read tries again.
    entry.handle.catch(() => this.entries.delete(file));
    return entry;
  }

  private async openFile(path: string): Promise<FileHandle> {
    const handle = await open(path, 'r');
    try {
      await this.checkFolder();
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private evict(): void {
    for (const [file, entry] of this.entries) {
      if (entry.users > 0) continue;
      this.entries.delete(file);
      void closeEntry(entry);
      return;
    }
  }
}

async function closeEntry(entry: Entry): Promise<void> {
  try {
    await (await entry.handle).close();
  } catch {
    // It never opened, which the read has reported, or the system has closed it: nothing is left to release.
  }
}
