// A folder in memory, for tests of the checkpoint code without a disk. Every change goes through `MemoryFiles.write`, so a
// test that overrides it can stop the world at any byte of any file.

import { hashBytes } from '../../src/checkpoint/hash.js';
import type { Entry, Folder, OpenFile, SealedFile } from '../../src/checkpoint/folder.js';

/** The files of one storage by their whole names; folders end in "/". */
export class MemoryFiles {
  readonly files = new Map<string, Uint8Array>();

  /** Puts `bytes` at `position` of a file, which is there already unless the position is 0. */
  write(name: string, bytes: Uint8Array, position: number): void {
    const before = this.files.get(name) ?? new Uint8Array();
    const after = new Uint8Array(Math.max(before.byteLength, position + bytes.byteLength));
    after.set(before);
    after.set(bytes, position);
    this.files.set(name, after);
  }

  /** As writeSlice does with a path on disk: `path` is what `allocate` returned. */
  writeSlice(path: string, position: number, values: Float32Array): void {
    if (!this.files.has(path)) throw new Error(`no file ${path}`);
    this.write(path, new Uint8Array(values.buffer, values.byteOffset, values.byteLength), position);
  }
}

export class MemoryFolder implements Folder {
  constructor(
    readonly url = 'memory:',
    readonly storage = new MemoryFiles(),
  ) {}

  at(name: string): MemoryFolder {
    return new MemoryFolder(`${this.url}/${name}`, this.storage);
  }

  async make(): Promise<boolean> {
    await Promise.resolve();
    const { files } = this.storage;
    if (files.has(`${this.url}/`)) return false;
    for (let end = this.url.indexOf('/'); end > 0; end = this.url.indexOf('/', end + 1)) {
      files.set(this.url.slice(0, end + 1), new Uint8Array());
    }
    files.set(`${this.url}/`, new Uint8Array());
    return true;
  }

  async list(): Promise<Entry[]> {
    await Promise.resolve();
    const entries = new Map<string, Entry>();
    for (const [file, { byteLength }] of this.storage.files) {
      if (!file.startsWith(`${this.url}/`)) continue;
      const [name = '', ...rest] = file.slice(this.url.length + 1).split('/');
      if (name !== '') entries.set(name, { name, bytes: rest.length > 0 ? null : byteLength });
    }
    return [...entries.values()];
  }

  async read(file: string): Promise<Uint8Array | null> {
    await Promise.resolve();
    return this.storage.files.get(this.nameOf(file))?.slice() ?? null;
  }

  async open(file: string): Promise<OpenFile> {
    const bytes = await this.read(file);
    if (bytes === null) throw new Error(`no file ${this.nameOf(file)}`);
    return {
      bytes: bytes.byteLength,
      read: async (into, position) => {
        await Promise.resolve();
        if (position + into.byteLength > bytes.byteLength) throw new Error('the file ends');
        into.set(bytes.subarray(position, position + into.byteLength));
      },
      close: () => Promise.resolve(),
    };
  }

  async create(file: string, data: string | Uint8Array): Promise<boolean> {
    await Promise.resolve();
    const there = this.storage.files.get(this.nameOf(file));
    if (there !== undefined) return Buffer.from(data).equals(there);
    this.expectFolder();
    this.storage.write(this.nameOf(file), Buffer.from(data), 0);
    return true;
  }

  async replace(file: string, data: string): Promise<void> {
    await Promise.resolve();
    this.expectFolder();
    this.storage.files.delete(this.nameOf(file));
    this.storage.write(this.nameOf(file), Buffer.from(data), 0);
  }

  async allocate(file: string, head: Uint8Array, bytes: number): Promise<string> {
    if ((await this.read(file)) !== null) throw new Error(`${this.nameOf(file)} is there already`);
    this.expectFolder();
    this.storage.write(this.nameOf(file), head, 0);
    this.storage.write(this.nameOf(file), new Uint8Array(bytes - head.byteLength), head.byteLength);
    return this.nameOf(file);
  }

  async seal(file: string): Promise<SealedFile> {
    const bytes = await this.read(file);
    if (bytes === null) throw new Error(`no file ${this.nameOf(file)}`);
    return { bytes: bytes.byteLength, sha256: hashBytes(bytes) };
  }

  async remove(file: string): Promise<void> {
    await Promise.resolve();
    this.storage.files.delete(this.nameOf(file));
  }

  async removeAll(): Promise<void> {
    await Promise.resolve();
    for (const name of this.storage.files.keys()) {
      if (name.startsWith(`${this.url}/`)) this.storage.files.delete(name);
    }
  }

  private nameOf(file: string): string {
    return `${this.url}/${file}`;
  }

  private expectFolder(): void {
    if (!this.storage.files.has(`${this.url}/`)) throw new Error(`no folder ${this.url}`);
  }
}
