// A simulated disk: what outlives a process that dies, with everything it was amid. Writing takes time, a write that is cut
// off leaves its first bytes, and what was not brought to disk may be lost with the machine.
import { createHash } from 'node:crypto';
import { bytesOf } from '../../src/checkpoint/files.js';
import type { Entry, Folder, OpenFile, SealedFile } from '../../src/checkpoint/folder.js';
import type { Process } from './process.js';
import type { Random } from './random.js';

const ROOT = 'disk';

export class Disk {
  readonly files = new Map<string, Uint8Array>();
  readonly folders = new Set<string>([ROOT]);
  /** Files with bytes that are not on disk for good. */
  readonly unsealed = new Set<string>();
  /** Something waits for what the disk has done since this was last taken back. */
  hasNews = false;
  /** Told before a file or folder is changed, and by whom. */
  changing: (process: Process | null, path: string) => void = () => undefined;

  constructor(
    private readonly random: Random,
    /** Whether a file can appear whole, as by a hard link; elsewhere a stop leaves a part of it. */
    readonly hasLinks: boolean,
    /** Whether an operation may fail now. */
    private readonly mayFail: () => boolean,
  ) {}

  /** The folder as a process uses it; null: as somebody who looks while nothing happens. */
  folder(process: Process | null): MemoryFolder {
    return new MemoryFolder(this, process, ROOT);
  }

  /** Does something in its time, if its process lives until then; half-way it has been done in part. */
  operate<T>(process: Process | null, effect: () => T, partly: () => void = () => undefined): Promise<T> {
    this.hasNews = true;
    if (!process) return Promise.resolve().then(effect);
    const ms = 20 * this.random.next();
    const fails = this.mayFail() && this.random.chance(0.004);
    return new Promise((resolve, reject) => {
      process.after(ms / 2, () => {
        partly();
        process.after(ms / 2, () => {
          this.hasNews = true;
          if (fails) reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }));
          else resolve(Promise.resolve().then(effect));
        });
      });
    });
  }

  /** Some of the bytes, as a write that did not come to its end leaves them. */
  prefix(bytes: Uint8Array): Uint8Array {
    return bytes.slice(0, this.random.below(bytes.length + 1));
  }

  writeSlice(process: Process, file: string, position: number, values: Float32Array): Promise<void> {
    const bytes = bytesOf(values);
    return this.operate(
      process,
      () => {
        this.changing(process, file);
        this.contentOf(file).set(bytes, position);
      },
      () => {
        const content = this.files.get(file);
        if (!content) return; // another slice failed, and the checkpoint was given up
        this.changing(process, file);
        content.set(this.prefix(bytes), position);
      },
    );
  }

  contentOf(file: string): Uint8Array {
    const content = this.files.get(file);
    if (!content) throw Object.assign(new Error(`${file} is missing`), { code: 'ENOENT' });
    return content;
  }

  /** The machine loses its power: what was not sealed holds zeros from somewhere on. */
  losePower(): void {
    for (const file of this.unsealed) {
      const content = this.files.get(file);
      content?.fill(0, this.random.below(content.length + 1));
    }
  }
}

class MemoryFile implements OpenFile {
  readonly bytes: number;

  constructor(private readonly content: Uint8Array) {
    this.bytes = content.length;
  }

  read(into: Uint8Array, position: number): Promise<void> {
    if (position + into.length > this.content.length) return Promise.reject(new Error('the file ends'));
    into.set(this.content.subarray(position, position + into.length));
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export class MemoryFolder implements Folder {
  constructor(
    private readonly disk: Disk,
    private readonly process: Process | null,
    readonly url: string,
  ) {}

  at(name: string): MemoryFolder {
    return new MemoryFolder(this.disk, this.process, this.pathOf(name));
  }

  make(): Promise<boolean> {
    return this.operate(() => {
      if (this.disk.folders.has(this.url)) return false;
      this.disk.folders.add(this.url);
      return true;
    });
  }

  list(): Promise<Entry[]> {
    return this.operate(() => {
      const nameOf = (path: string): string | null => {
        const name = path.startsWith(`${this.url}/`) ? path.slice(this.url.length + 1) : '';
        return name === '' || name.includes('/') ? null : name;
      };
      const entries: Entry[] = [];
      for (const path of this.disk.folders) {
        const name = nameOf(path);
        if (name !== null) entries.push({ name, bytes: null });
      }
      for (const [path, content] of this.disk.files) {
        const name = nameOf(path);
        if (name !== null) entries.push({ name, bytes: content.length });
      }
      return entries;
    });
  }

  read(file: string): Promise<Uint8Array | null> {
    return this.operate(() => this.disk.files.get(this.pathOf(file))?.slice() ?? null);
  }

  open(file: string): Promise<OpenFile> {
    return this.operate(() => new MemoryFile(this.disk.contentOf(this.pathOf(file))));
  }

  create(file: string, data: string | Uint8Array): Promise<boolean> {
    const path = this.pathOf(file);
    const bytes = new Uint8Array(Buffer.from(data));
    let isMine = false;
    return this.operate(
      () => {
        if (this.disk.files.has(path) && !isMine) return false;
        this.disk.changing(this.process, path);
        this.disk.files.set(path, bytes);
        return true;
      },
      () => {
        if (this.disk.hasLinks || this.disk.files.has(path) || !this.disk.folders.has(this.url)) return;
        isMine = true;
        this.disk.changing(this.process, path);
        this.disk.files.set(path, this.disk.prefix(bytes));
      },
    );
  }

  async replace(file: string, data: string): Promise<void> {
    const path = this.pathOf(file);
    await this.operate(() => {
      this.disk.changing(this.process, path);
      this.disk.files.set(path, new Uint8Array(Buffer.from(data)));
    });
  }

  allocate(file: string, head: Uint8Array, bytes: number): Promise<string> {
    const path = this.pathOf(file);
    const set = (content: Uint8Array): void => {
      this.disk.changing(this.process, path);
      this.disk.unsealed.add(path);
      this.disk.files.set(path, content);
    };
    return this.operate(
      () => {
        const content = new Uint8Array(bytes);
        content.set(head);
        set(content);
        return path;
      },
      () => set(this.disk.prefix(head)),
    );
  }

  seal(file: string): Promise<SealedFile> {
    const path = this.pathOf(file);
    return this.operate(() => {
      const content = this.disk.contentOf(path);
      this.disk.unsealed.delete(path);
      return { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
    });
  }

  async remove(file: string): Promise<void> {
    const path = this.pathOf(file);
    await this.operate(() => {
      this.disk.changing(this.process, path);
      this.disk.files.delete(path);
    });
  }

  /** One file after another, so that a stop leaves some. */
  async removeAll(): Promise<void> {
    for (const { name } of await this.list()) await this.remove(name);
    await this.operate(() => this.disk.folders.delete(this.url));
  }

  private operate<T>(effect: () => T, partly?: () => void): Promise<T> {
    return this.disk.operate(this.process, effect, partly);
  }

  private pathOf(name: string): string {
    return `${this.url}/${name}`;
  }
}

/**
 * Resolves when nothing more follows from promises that are settled by now; to be called after an await. Node empties its
 * queue of microtasks before the next tick, and setImmediate would ask the operating system for news each time.
 */
export function allMicrotasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
