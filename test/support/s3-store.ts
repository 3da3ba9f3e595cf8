// An S3-compatible store on this machine: s3rver, behind a proxy that adds what it lacks (`If-None-Match: *`, which it
// ignores; one request at a time for each object; to list and abort multipart uploads) and what tests need (answers that
// break off, refusals, silence).

import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';

/**
 * What happens to a request instead of an answer: its connection ends, it is told to slow down, its answer is cut off, or
 * nothing comes after the answer's first half.
 */
export type Fault = 'reset' | 'slowDown' | 'truncate' | 'stall';

const BUCKET = 'bucket';

/** The part of s3rver (which has no types) that is used. */
type S3rver = new (options: object) => { run(): Promise<AddressInfo>; close(): Promise<void> };

export class S3Store {
  /** The store, and s3rver without the proxy, which lets an object be created twice. */
  endpoint = '';
  bareEndpoint = '';
  /** Asked for each request, such as "PUT run/checkpoints/step-1/model.safetensors?partNumber=1". */
  fault: (request: string) => Fault | undefined = () => undefined;
  /** Every request, for tests that count. */
  readonly requests: string[] = [];
  private readonly creating = new Set<string>();
  /** The last request for each object. */
  private readonly turns = new Map<string, Promise<void>>();
  private server!: Server;
  private store!: InstanceType<S3rver>;
  private port = 0;

  private constructor(private readonly directory: string) {}

  /** @param directory where objects are kept */
  static async start(directory: string): Promise<S3Store> {
    const started = new S3Store(directory);
    const S3rver = createRequire(import.meta.url)('s3rver') as S3rver;
    const configureBuckets = [{ name: BUCKET, configs: [] }];
    const options = { address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets };
    started.store = new S3rver(options);
    started.port = (await started.store.run()).port;
    started.bareEndpoint = `http://127.0.0.1:${started.port}`;
    started.server = createServer((incoming, answer) => started.serve(incoming, answer));
    await new Promise<void>((resolve) => started.server.listen(0, '127.0.0.1', resolve));
    started.endpoint = `http://127.0.0.1:${(started.server.address() as AddressInfo).port}`;
    return started;
  }

  /** What a process needs to use the store. */
  get environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
    };
  }

  urlOf(prefix: string): string {
    return `s3://${BUCKET}/${prefix}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await this.store.close();
  }

  private serve(incoming: IncomingMessage, answer: ServerResponse): void {
    const key = decodeURIComponent(incoming.url!.slice(1 + BUCKET.length).replace(/^\//, ''));
    const asked = `${incoming.method} ${key}`;
    this.requests.push(asked);
    const fault = this.fault(asked);
    if (fault === 'reset') {
      // In the midst of what is sent, where something is.
      incoming.once('data', () => incoming.destroy()).once('end', () => answer.destroy());
      return;
    }
    if (fault === 'slowDown') return this.refuse(incoming, answer, 503, 'SlowDown');
    if (this.answersUploads(incoming, answer)) return;
    const object = key.replace(/\?.*$/, '');
    if (incoming.headers['if-none-match'] === '*') {
      if (this.creating.has(object)) return this.refuse(incoming, answer, 409, 'ConditionalRequestConflict');
      if (this.exists(object)) return this.refuse(incoming, answer, 412, 'PreconditionFailed');
      this.creating.add(object);
      answer.once('close', () => this.creating.delete(object));
    }
    void this.forward(object, incoming, answer, fault);
  }

  /** Multipart uploads that were begun and neither finished nor aborted. */
  get uploads(): { readonly id: string; readonly key: string }[] {
    if (!existsSync(this.uploadsDirectory)) return [];
    return readdirSync(this.uploadsDirectory).map((id) => {
      return { id, key: readFileSync(path.join(this.uploadsDirectory, id, 'key'), 'utf8') };
    });
  }

  private get uploadsDirectory(): string {
    return path.join(this.directory, BUCKET, '._S3rver_uploads');
  }

  /** Whether the request is one about uploads that s3rver does not know; it is answered then. */
  private answersUploads(incoming: IncomingMessage, answer: ServerResponse): boolean {
    const { pathname, searchParams } = new URL(incoming.url!, this.endpoint);
    const id = searchParams.get('uploadId');
    if (incoming.method === 'DELETE' && id !== null) {
      rmSync(path.join(this.uploadsDirectory, id), { recursive: true });
      answer.writeHead(204).end();
      return true;
    }
    if (
      incoming.method !== 'GET' ||
      pathname.replace(/\/$/, '') !== `/${BUCKET}` ||
      !searchParams.has('uploads')
    )
      return false;
    const found = this.uploads.filter(({ key }) => key.startsWith(searchParams.get('prefix') ?? ''));
    const listed = found.map(({ id, key }) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
    answer.writeHead(200, { 'content-type': 'application/xml' });
    answer.end(`<ListMultipartUploadsResult>${listed.join('')}</ListMultipartUploadsResult>`);
    return true;
  }

  private exists(object: string): boolean {
    return existsSync(path.join(this.directory, BUCKET, `${object}._S3rver_object`));
  }

  /** Resolves when the file of an object or a part holds `body`: s3rver answers before it has written it. */
  private async stored(target: string, body: Buffer): Promise<void> {
    const { pathname, searchParams } = new URL(target, this.endpoint);
    const [id, part] = [searchParams.get('uploadId'), searchParams.get('partNumber')];
    const object = `${decodeURIComponent(pathname)}._S3rver_object`;
    const file =
      id === null ? path.join(this.directory, object) : path.join(this.uploadsDirectory, id, String(part));
    while (!(await readFile(file).catch(() => null))?.equals(body)) await setImmediate();
  }

  private refuse(incoming: IncomingMessage, answer: ServerResponse, status: number, code: string): void {
    incoming.resume();
    incoming.once('end', () => {
      answer.writeHead(status, { 'content-type': 'application/xml' });
      answer.end(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    });
  }

  /** s3rver empties an object before it fills it again, and nobody must see that: one request at a time, and that one whole. */
  private async forward(
    object: string,
    incoming: IncomingMessage,
    answer: ServerResponse,
    fault: 'truncate' | 'stall' | undefined,
  ): Promise<void> {
    const body = await buffer(incoming).catch(() => null); // null: a client that was killed
    if (body === null) return;
    const before = this.turns.get(object) ?? Promise.resolve();
    this.turns.set(
      object,
      before.then(() => this.ask(incoming, body, answer, fault)),
    );
  }

  private async ask(
    { method, url: target, headers }: IncomingMessage,
    body: Buffer,
    answer: ServerResponse,
    fault: 'truncate' | 'stall' | undefined,
  ): Promise<void> {
    const options = { host: '127.0.0.1', port: this.port, method, path: target, headers };
    const onward = request(options).end(body);
    try {
      const [response] = (await once(onward, 'response')) as [IncomingMessage];
      if (method === 'PUT' && response.statusCode === 200) await this.stored(target!, body);
      answer.writeHead(response.statusCode!, response.headers);
      if (fault === undefined) response.pipe(answer);
      else {
        const whole = await buffer(response);
        answer.write(whole.subarray(0, whole.length / 2), () => fault === 'truncate' && answer.destroy());
      }
      await finished(response);
    } catch {
      answer.destroy();
    }
  }
}
