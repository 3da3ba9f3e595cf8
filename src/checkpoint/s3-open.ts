// Opens s3://bucket/prefix. Endpoint, region and credentials come from the environment as every AWS tool reads it.

import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { UserError } from '../util/errors.js';
import type { Folder } from './folder.js';
import { S3Folder } from './s3-folder.js';

/** Tries of one request, with backoff and jitter between them. */
const ATTEMPTS = 6;
const CONNECT_TIMEOUT_MS = 10_000;
/** From sending to the first byte of the answer: ends an upload that trickles. */
const REQUEST_TIMEOUT_MS = 120_000;
/** Without a byte in either direction, also while an answer is awaited. */
const SILENCE_TIMEOUT_MS = 60_000;

export interface S3Options {
  /** Where on this machine files lie until they are uploaded. */
  readonly spool?: string;
  /** Milliseconds of silence after which an answer counts as broken off. */
  readonly silenceMs?: number;
}

function parse(url: string): { bucket: string; prefix: string } {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/*$/.exec(url);
  const prefix = match?.[2] ?? '';
  if (match && !/(^|\/)\.{0,2}(\/|$)/.test(prefix || 'x') && !/[?#@]/.test(prefix)) {
    return { bucket: match[1]!, prefix };
  }
  // Whoever writes credentials into a URL does not find them in a log.
  const shown = url.replace(/\/\/[^/]*@/, '//…@');
  throw new UserError(
    'URL_INVALID',
    `expected s3://BUCKET/PREFIX, got "${shown}"; all else comes from AWS_… variables`,
  );
}

/** The part of the endpoint's URL that is no secret. Throws UserError URL_INVALID. */
function originOf(endpoint: string): string {
  if (URL.canParse(endpoint) && /^https?:/.test(endpoint)) return new URL(endpoint).origin;
  throw new UserError(
    'URL_INVALID',
    "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, the store's address: expected http://HOST:PORT or https://…",
  );
}

/** The folder at `url`. Throws UserError URL_INVALID. */
export function openS3(url: string, options: S3Options = {}): S3Folder {
  const { spool = path.join(tmpdir(), 'lockstep-spool'), silenceMs = SILENCE_TIMEOUT_MS } = options;
  const { bucket, prefix } = parse(url);
  const { env } = process;
  // The client's wish for a newer Node is for those who choose its version, not for every command of every user.
  env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const given = env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'];
  const endpoint = given ? { url: given, shown: originOf(given) } : undefined;
  const client = new S3Client({
    // Stores other than Amazon's rarely resolve bucket names as hosts, and mostly ignore the region.
    ...(endpoint ? { endpoint: endpoint.url, forcePathStyle: true } : {}),
    region: env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      socketTimeout: silenceMs,
      throwOnRequestTimeout: true,
    },
  });
  return new S3Folder({ client, name: bucket, endpoint: endpoint?.shown, spool }, prefix);
}

/** Throws UserError STORE_UNSUITED when the store would let two creators of one file both believe that they made it. */
export async function probeExclusiveCreation(folder: Folder): Promise<void> {
  const name = `probe-${randomUUID()}`;
  const first = await folder.create(name, 'first');
  const second = await folder.create(name, 'second');
  await folder.remove(name);
  if (first && !second) return;
  throw new UserError(
    'STORE_UNSUITED',
    `the store of ${folder.url} ignores "If-None-Match: *": it created the same object twice, so two coordinators could ` +
      'not be told apart. Upgrade it (Amazon S3, MinIO, Ceph and R2 honour it in current versions), or keep checkpoints in a folder',
  );
}
