// A folder in an S3-compatible store: a common prefix of keys. A folder that was made is an empty object whose key ends in
// "/". Exclusive creation is `If-None-Match: *`. Where a large file is written by slices it is spooled on this machine, and
// uploaded in parts when it is sealed.

import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { allocateFile } from './files.js';
import type { Entry, Folder, OpenFile, SealedFile } from './folder.js';
import { hashFile } from './hash.js';
import { S3Failure, isAnswer, isMissing, isTaken, isUndecided } from './s3-failure.js';

/** Bytes of one request: a part of an upload, a range of a download. */
const PART_BYTES = 16 << 20;
/** S3's own limit. */
const MOST_PARTS = 10_000;
const PARTS_AT_ONCE = 4;
/** Times that an answer which broke off in its midst is asked for again. */
const GET_ATTEMPTS = 5;
/** Deletions under way at a time. */
const DELETIONS_AT_ONCE = 16;

/** A bucket, and where on this machine uploads are spooled. */
export interface S3Bucket {
  readonly client: S3Client;
  readonly name: string;
  /** Where the store is, when it is not Amazon's. */
  readonly endpoint: string | undefined;
  readonly spool: string;
}

export class S3Folder implements Folder {
  readonly url: string;

  /** @param prefix without a slash at either end; empty: the whole bucket */
  constructor(
    private readonly bucket: S3Bucket,
    private readonly prefix: string,
  ) {
    this.url = `s3://${bucket.name}${prefix === '' ? '' : `/${prefix}`}`;
  }

  at(name: string): S3Folder {
    return new S3Folder(this.bucket, this.keyOf(name));
  }

  /** Throws UserError STORE_FAILED when the store says nothing at all. What it refuses, whoever needs it will be told. */
  async knock(patienceMs: number): Promise<void> {
    const command = new ListObjectsV2Command({
      Bucket: this.bucket.name,
      Prefix: this.keyOf(''),
      MaxKeys: 1,
    });
    const patience = AbortSignal.timeout(patienceMs);
    try {
      await this.bucket.client.send(command, { abortSignal: patience });
    } catch (error) {
      if (isAnswer(error)) return;
      const silence = new Error(`it has not answered for ${patienceMs / 1000} s`, { cause: error });
      throw this.failure('reach', '', patience.aborted ? silence : error);
    }
  }

  async make(): Promise<boolean> {
    return this.prefix !== '' && this.create('', randomUUID());
  }

  async list(): Promise<Entry[]> {
    const entries: Entry[] = [];
    const start = this.keyOf('').length;
    for await (const page of this.pages('/')) {
      for (const { Prefix: folder } of page.CommonPrefixes ?? []) {
        entries.push({ name: folder!.slice(start, -1), bytes: null });
      }
      for (const { Key: key, Size: bytes } of page.Contents ?? []) {
        if (key!.length > start) entries.push({ name: key!.slice(start), bytes: bytes! });
      }
    }
    return entries;
  }

  async read(file: string): Promise<Uint8Array | null> {
    try {
      return await this.get(file);
    } catch (error) {
      if (isMissing(error)) return null;
      throw this.failure('read', file, error);
    }
  }

  async open(file: string): Promise<OpenFile> {
    const command = new HeadObjectCommand(this.place(file));
    const { ContentLength: bytes } = await this.bucket.client.send(command).catch((error: unknown) => {
      throw this.failure('open', file, error);
    });
    return {
      bytes: bytes!,
      read: (into, position) => this.readRanges(file, bytes!, into, position),
      close: () => Promise.resolve(),
    };
  }

  async create(file: string, data: string | Uint8Array): Promise<boolean> {
    const body = Buffer.from(data);
    for (;;) {
      try {
        await this.put(file, body, '*');
        return true;
      } catch (error) {
        // Somebody else's creation of it has not ended: that one decides.
        if (isUndecided(error)) await delay(100);
        else if (isTaken(error)) {
          // A request that was sent again meets what it did itself the first time.
          const there = await this.read(file);
          if (there !== null) return body.equals(there);
        } else throw this.failure('create', file, error);
      }
    }
  }

  async replace(file: string, data: string): Promise<void> {
    await this.put(file, Buffer.from(data)).catch((error: unknown) => {
      throw this.failure('write', file, error);
    });
  }

  async allocate(file: string, head: Uint8Array, bytes: number): Promise<string> {
    const target = this.spoolOf(file);
    await mkdir(path.dirname(target), { recursive: true });
    await allocateFile(target, head, bytes);
    return target;
  }

  async seal(file: string): Promise<SealedFile> {
    const spooled = this.spoolOf(file);
    const { size: bytes } = await stat(spooled);
    const [sha256] = await Promise.all([hashFile(spooled), this.upload(file, spooled, bytes)]);
    await rm(spooled);
    return { bytes, sha256 };
  }

  async remove(file: string): Promise<void> {
    await this.bucket.client.send(new DeleteObjectCommand(this.place(file))).catch((error: unknown) => {
      throw this.failure('delete', file, error);
    });
  }

  async removeAll(): Promise<void> {
    await rm(this.spoolOf(''), { recursive: true, force: true });
    // Parts of an upload that was never finished are no object, and no reader sees them, but they are paid for. Not every
    // store can list them, and not every account may: then they are left to the bucket's own rules.
    await this.abortUploads().catch(() => {});
    const start = this.keyOf('').length;
    for await (const { Contents: contents = [] } of this.pages()) {
      // One by one: the request for many at once is the one that compatible stores differ in.
      for (let first = 0; first < contents.length; first += DELETIONS_AT_ONCE) {
        const some = contents.slice(first, first + DELETIONS_AT_ONCE);
        await Promise.all(some.map(({ Key: key }) => this.remove(key!.slice(start))));
      }
    }
  }

  private keyOf(file: string): string {
    return this.prefix === '' ? file : `${this.prefix}/${file}`;
  }

  private spoolOf(file: string): string {
    return path.join(this.bucket.spool, this.keyOf(file));
  }

  private place(file: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket.name, Key: this.keyOf(file) };
  }

  private async put(file: string, body: Buffer, ifNoneMatch?: '*'): Promise<void> {
    const condition = ifNoneMatch === undefined ? {} : { IfNoneMatch: ifNoneMatch };
    await this.bucket.client.send(new PutObjectCommand({ ...this.place(file), Body: body, ...condition }));
  }

  /** Several parts at once, each sent again when it fails; an upload that cannot be finished is aborted. */
  private async upload(file: string, spooled: string, bytes: number): Promise<void> {
    const upload = new Upload({
      client: this.bucket.client,
      params: { ...this.place(file), Body: createReadStream(spooled) },
      partSize: Math.max(PART_BYTES, Math.ceil(bytes / MOST_PARTS)),
      queueSize: PARTS_AT_ONCE,
      leavePartsOnError: false,
    });
    await upload.done().catch((error: unknown) => {
      throw this.failure('upload', file, error);
    });
  }

  /** Ends the uploads into this folder that a process which is gone has begun. */
  private async abortUploads(): Promise<void> {
    const { client, name } = this.bucket;
    const command = new ListMultipartUploadsCommand({ Bucket: name, Prefix: this.keyOf('') });
    const { Uploads: uploads = [] } = await client.send(command);
    for (const { Key, UploadId } of uploads) {
      await client.send(new AbortMultipartUploadCommand({ Bucket: name, Key, UploadId }));
    }
  }

  private async readRanges(file: string, bytes: number, into: Uint8Array, position: number): Promise<void> {
    if (position + into.byteLength > bytes) {
      throw new Error(`${this.url}/${file} ends at byte ${bytes}`);
    }
    for (let start = 0; start < into.byteLength; start += PART_BYTES) {
      const part = into.subarray(start, start + PART_BYTES);
      const found = await this.get(file, { first: position + start, bytes: part.byteLength }).catch(
        (error: unknown) => {
          throw this.failure('read', file, error);
        },
      );
      part.set(found);
    }
  }

  /**
   * An object, or a range of its bytes. The client itself sends a request again, but not one whose answer breaks off or falls
   * silent in its midst.
   */
  private async get(
    file: string,
    range?: { readonly first: number; readonly bytes: number },
  ): Promise<Uint8Array> {
    const header = range && { Range: `bytes=${range.first}-${range.first + range.bytes - 1}` };
    for (let attempt = 1; ; attempt++) {
      const command = new GetObjectCommand({ ...this.place(file), ...header });
      const { Body: body, ContentLength: announced } = await this.bucket.client.send(command);
      try {
        const found = await body!.transformToByteArray();
        const expected = range?.bytes ?? announced ?? found.byteLength;
        if (found.byteLength === expected) return found;
        throw new Error(`${found.byteLength} bytes came, expected ${expected}`);
      } catch (error) {
        if (attempt === GET_ATTEMPTS) throw error;
        await delay(100 * 2 ** attempt);
      }
    }
  }

  private async *pages(delimiter?: '/'): AsyncGenerator<ListObjectsV2CommandOutput, void, undefined> {
    const { client, name } = this.bucket;
    const request = { Bucket: name, Prefix: this.keyOf(''), ...(delimiter && { Delimiter: delimiter }) };
    for (let token: string | undefined, more = true; more;) {
      const command = new ListObjectsV2Command({ ...request, ...(token && { ContinuationToken: token }) });
      const page: ListObjectsV2CommandOutput = await client.send(command).catch((error: unknown) => {
        throw this.failure('list', '', error);
      });
      yield page;
      token = page.NextContinuationToken;
      more = page.IsTruncated === true;
    }
  }

  private failure(what: string, file: string, cause: unknown): S3Failure {
    return new S3Failure(what, `${this.url}/${file}`, this.bucket.endpoint, cause);
  }
}
