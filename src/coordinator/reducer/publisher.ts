// Copies of parameter chunks as they go out to workers. A queued message keeps pointing into its buffer, so the
// live parameters are never sent: each version of a chunk is copied and summed (CRC-32) once for all who pull it,
// and its buffer is used again only when every reader has acknowledged it.
import { crc32 } from '../../engine/native/memory.js';
import { assert } from '../../util/errors.js';
import type { BufferPool } from './buffer-pool.js';

export interface PublishedChunk {
  readonly payload: Uint8Array;
  readonly crc: number;
}

interface Copy extends PublishedChunk {
  readonly buffer: Float32Array<ArrayBuffer>;
  readers: number;
  current: boolean;
  /** A reader went away: its connection may still hold the buffer, which is left to the garbage collector. */
  abandoned: boolean;
}

export class Publisher {
  private readonly copies = new Map<number, Copy>();
  private readonly sent = new Map<string, { queue: Copy[]; acknowledged: number }>();

  constructor(private readonly pool: BufferPool) {}

  /** The chunk as a payload for one more reader; `values` are the live parameters of the chunk. */
  publish(session: string, chunk: number, values: Float32Array): PublishedChunk {
    let copy = this.copies.get(chunk);
    if (!copy) {
      copy = this.copy(values);
      this.copies.set(chunk, copy);
    }
    copy.readers++;
    const reader = this.sent.get(session) ?? { queue: [], acknowledged: 0 };
    reader.queue.push(copy);
    this.sent.set(session, reader);
    return copy;
  }

  /** The session has received `total` chunks so far. Returns false when it cannot have. */
  acknowledge(session: string, total: number): boolean {
    const reader = this.sent.get(session);
    if (!reader) return total === 0;
    if (total < reader.acknowledged || total > reader.acknowledged + reader.queue.length) return false;
    for (const copy of reader.queue.splice(0, total - reader.acknowledged)) this.drop(copy);
    reader.acknowledged = total;
    return true;
  }

  /** Chunks sent to a session and not yet acknowledged. */
  unacknowledged(session: string): number {
    return this.sent.get(session)?.queue.length ?? 0;
  }

  /** The parameters are about to change: what is published belongs to the past. */
  retire(): void {
    for (const copy of this.copies.values()) {
      copy.current = false;
      this.recycle(copy);
    }
    this.copies.clear();
  }

  forget(session: string): void {
    for (const copy of this.sent.get(session)?.queue ?? []) {
      copy.abandoned = true;
      this.drop(copy);
    }
    this.sent.delete(session);
  }

  private copy(values: Float32Array): Copy {
    const buffer = this.pool.copyOf(values);
    const payload = new Uint8Array(buffer.buffer, 0, buffer.byteLength);
    return { buffer, payload, crc: crc32(payload), readers: 0, current: true, abandoned: false };
  }

  private drop(copy: Copy): void {
    copy.readers--;
    assert(copy.readers >= 0, 'a published chunk has no more readers than it was sent to');
    this.recycle(copy);
  }

  private recycle(copy: Copy): void {
    if (copy.readers > 0 || copy.current) return;
    if (copy.abandoned) this.pool.forget();
    else this.pool.release(copy.buffer);
  }
}
