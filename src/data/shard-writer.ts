// Writes one part (training or validation) of a data set: token shards of bounded size, for pairs an index beside
// each. Sums are taken on the way.

import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';
import {
  INDEX_RECORD_BYTES,
  type ManifestFile,
  type ShardEntry,
  type SplitEntry,
  type SplitName,
} from './manifest.js';

/** A file that is written from beginning to end. */
class HashedFile {
  private readonly hash = createHash('sha256');
  private bytes = 0;

  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
  ) {}

  static async create(directory: string, file: string): Promise<HashedFile> {
    return new HashedFile(file, await open(join(directory, file), 'wx'));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.hash.update(bytes);
    this.bytes += bytes.length;
    for (let done = 0; done < bytes.length;) done += (await this.handle.write(bytes, done)).bytesWritten;
  }

  /** Makes sure that it is on disk. */
  async finish(): Promise<ManifestFile> {
    await this.handle.sync();
    await this.handle.close();
    return { file: this.file, bytes: this.bytes, sha256: this.hash.digest('hex') };
  }

  async abandon(): Promise<void> {
    await this.handle.close();
  }
}

/** Writes a small file whole. */
export async function writeHashed(directory: string, file: string, text: string): Promise<ManifestFile> {
  const written = await HashedFile.create(directory, file);
  await written.write(Buffer.from(text, 'utf8'));
  return written.finish();
}

interface OpenShard {
  readonly data: HashedFile;
  readonly index: HashedFile | null;
  tokens: number;
  pairs: number;
}

export interface ShardWriterOptions {
  readonly directory: string;
  readonly split: SplitName;
  readonly tokenBytes: 2 | 4;
  readonly pairs: boolean;
  /** Largest shard, in tokens; a single pair that is longer makes a longer one. */
  readonly shardTokens: number;
}

/** Takes tokens in order; exactly one write at a time. */
export class ShardWriter {
  private readonly shards: ShardEntry[] = [];
  private current: OpenShard | null = null;
  private tokens = 0;
  private documents = 0;

  constructor(private readonly options: ShardWriterOptions) {}

  /** Appends text: `documents` of them end within `ids`. */
  async writeText(ids: Uint32Array, documents: number): Promise<void> {
    this.documents += documents;
    for (let done = 0; done < ids.length;) {
      const shard = await this.shardWithRoom(1);
      const take = Math.min(ids.length - done, this.options.shardTokens - shard.tokens);
      await this.append(shard, ids.subarray(done, done + take));
      done += take;
    }
  }

  /** Appends pairs: `ids` holds source, target, source, …; `lengths` the length of each. */
  async writePairs(ids: Uint32Array, lengths: Uint32Array): Promise<void> {
    this.documents += lengths.length / 2;
    let from = 0;
    for (let pair = 0; pair < lengths.length;) {
      const shard = await this.shardWithRoom(lengths[pair]! + lengths[pair + 1]!);
      const records: Buffer[] = [];
      let end = from;
      // As many as fit, and at least one.
      for (; pair < lengths.length; pair += 2) {
        const length = lengths[pair]! + lengths[pair + 1]!;
        const at = shard.tokens + end - from;
        if (at > 0 && at + length > this.options.shardTokens) break;
        records.push(indexRecord(at, lengths[pair]!, lengths[pair + 1]!));
        end += length;
      }
      await shard.index!.write(Buffer.concat(records));
      shard.pairs += records.length;
      await this.append(shard, ids.subarray(from, end));
      from = end;
    }
  }

  async finish(): Promise<SplitEntry> {
    await this.finishShard();
    return { tokens: this.tokens, documents: this.documents, shards: this.shards };
  }

  /** Closes what is open, after a failure. */
  async abandon(): Promise<void> {
    const shard = this.current;
    this.current = null;
    await shard?.data.abandon();
    await shard?.index?.abandon();
  }

  private async append(shard: OpenShard, ids: Uint32Array): Promise<void> {
    await shard.data.write(littleEndian(this.options.tokenBytes === 2 ? Uint16Array.from(ids) : ids.slice()));
    shard.tokens += ids.length;
    this.tokens += ids.length;
  }

  /** The shard at hand, or the next one if less than `tokens` would fit. */
  private async shardWithRoom(tokens: number): Promise<OpenShard> {
    const full = this.current !== null && this.current.tokens + tokens > this.options.shardTokens;
    if (full && this.current!.tokens > 0) await this.finishShard();
    this.current ??= await this.openShard();
    return this.current;
  }

  private async openShard(): Promise<OpenShard> {
    const { directory, split, pairs } = this.options;
    const name = `${split}-${String(this.shards.length).padStart(5, '0')}`;
    const data = await HashedFile.create(directory, `${name}.bin`);
    const index = pairs ? await HashedFile.create(directory, `${name}.idx`) : null;
    return { data, index, tokens: 0, pairs: 0 };
  }

  private async finishShard(): Promise<void> {
    const shard = this.current;
    if (shard === null) return;
    this.current = null;
    const { data, index, tokens, pairs } = shard;
    const entry = { ...(await data.finish()), tokens };
    this.shards.push(index === null ? entry : { ...entry, pairs, index: await index.finish() });
  }
}

function indexRecord(offset: number, source: number, target: number): Buffer {
  const record = Buffer.alloc(INDEX_RECORD_BYTES);
  record.writeBigUInt64LE(BigInt(offset), 0);
  record.writeUInt32LE(source, 8);
  record.writeUInt32LE(target, 12);
  return record;
}

/** The bytes of numbers in the order of the files. Takes the array over. */
function littleEndian(values: Uint16Array | Uint32Array): Buffer {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  if (endianness() === 'LE') return bytes;
  return values instanceof Uint16Array ? bytes.swap16() : bytes.swap32();
}
