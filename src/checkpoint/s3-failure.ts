// What an S3-compatible store answers when it does not do what was asked, in words for the user. Never with a secret.

import { UserError } from '../util/errors.js';
import { isObject } from '../util/json.js';

/** The name and the status that a client's error carries. */
function factsOf(error: unknown): { name: string; status: number | undefined } {
  const { name } = error instanceof Error ? error : { name: String(error) };
  const metadata: unknown = (error as { $metadata?: unknown } | null)?.$metadata;
  const status = isObject(metadata) ? metadata['httpStatusCode'] : undefined;
  return { name, status: typeof status === 'number' ? status : undefined };
}

export function isMissing(error: unknown): boolean {
  const { name, status } = factsOf(error);
  return name === 'NoSuchKey' || (status === 404 && name !== 'NoSuchBucket');
}

/** Whether the store said something, be it no. */
export function isAnswer(error: unknown): boolean {
  return factsOf(error).status !== undefined;
}

/** An exclusive creation found that the object is there. */
export function isTaken(error: unknown): boolean {
  return factsOf(error).status === 412;
}

/** Two creations met, and neither is decided yet. */
export function isUndecided(error: unknown): boolean {
  return factsOf(error).status === 409;
}

const ADVICE: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket: create it, or correct the URL',
  AccessDenied:
    'access denied: the credentials in the environment must allow to list, read, write and delete there',
  Forbidden:
    'access denied: the credentials in the environment must allow to list, read, write and delete there',
  InvalidAccessKeyId: 'the store does not know AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID, or a proxy changes requests',
  CredentialsProviderError: 'no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE',
  PermanentRedirect: 'the bucket is in another region: set AWS_REGION',
  NoSuchKey: 'it is not there',
  NotFound: 'it is not there',
};

/** A request to the store that failed for good, however often it was sent. */
export class S3Failure extends UserError {
  /** @param endpoint of a store that is not Amazon's */
  constructor(what: string, url: string, endpoint: string | undefined, cause: unknown) {
    const { name, status } = factsOf(cause);
    const message = cause instanceof Error ? cause.message : String(cause);
    const kind = name === 'Error' ? '' : `${name}${status === undefined ? '' : ` (${status})`}: `;
    const isForeign = message.includes('Deserialization error'); // the client's advice is for programmers
    const reason =
      ADVICE[name] ??
      (isForeign
        ? `the answer (HTTP ${status}) is not that of an S3 store: is the address right?`
        : kind + message);
    const store = endpoint === undefined ? '' : ` in the store at ${endpoint}`;
    super('STORE_FAILED', `cannot ${what} ${url}${store}: ${reason}`, { cause });
  }
}
