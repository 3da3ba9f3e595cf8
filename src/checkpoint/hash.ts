// SHA-256 sums: of a file on this machine, computed in a thread of its own, and of a file while it is read.

import { createHash } from 'node:crypto';
import { Piscina } from 'piscina';
import type { OpenFile } from './folder.js';

const PIECE_BYTES = 4 << 20;

/** The SHA-256 of a file in hex, without delay for the threads that train. */
export async function hashFile(file: string): Promise<string> {
  const pool = new Piscina<string, string>({
    filename: new URL('./hash-thread.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: 1,
  });
  try {
    return await pool.run(file);
  } finally {
    await pool.destroy();
  }
}

/** The SHA-256 of bytes in hex. */
export function hashBytes(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A file that is summed on the way: what is read in order, from the start, need not be read again for its sum. */
export class SummedFile implements OpenFile {
  readonly bytes: number;
  private readonly hash = createHash('sha256');
  private summed = 0;

  constructor(private readonly file: OpenFile) {
    this.bytes = file.bytes;
  }

  async read(into: Uint8Array, position: number): Promise<void> {
    for (let start = 0; start < into.byteLength; start += PIECE_BYTES) {
      const piece = into.subarray(start, start + PIECE_BYTES);
      await this.file.read(piece, position + start);
      if (position + start !== this.summed) continue;
      this.hash.update(piece);
      this.summed += piece.byteLength;
    }
  }

  /** The SHA-256 of the whole file in hex, once. */
  async sum(): Promise<string> {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, this.bytes - this.summed));
    while (this.summed < this.bytes) {
      await this.read(piece.subarray(0, this.bytes - this.summed), this.summed);
    }
    return this.hash.digest('hex');
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
