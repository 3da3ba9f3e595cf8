// The two kinds of failure: faults of the user (UserError, a sentence and a stable code) and bugs (assert).

/**
 * A fault in what the user gave: a config, a file, an option, an address.
 * The CLI prints `message` without a stack and exits with 2.
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  constructor(
    /** Stable, upper-snake-case, e.g. `CONFIG_INVALID`; tests and scripts may rely on it. */
    readonly code: string,
    /** "expected X, got Y", where, and what to do. */
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A UserError that came from another thread, on the way out of which it loses its class; other errors as they are. */
export function revived(error: Error & { readonly code?: unknown }): Error {
  if (error.name !== 'UserError' || typeof error.code !== 'string') return error;
  return new UserError(error.code, error.message, { cause: error });
}

/** An error that is sent to another thread, with what it loses on the way. */
export interface SentError {
  readonly error: Error;
  readonly name: string;
  /** Such as EMFILE, by which the command line knows what the system refused. */
  readonly code: unknown;
}

export function sentError(error: Error & { readonly code?: unknown }): SentError {
  const { name, code } = error;
  return { error, name, code };
}

export function receivedError({ error, name, code }: SentError): Error {
  return revived(Object.assign(error, { name, ...(code !== undefined && { code }) }));
}

/** Throws when a condition that only a bug can break does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** The sentence of an unknown thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The same where it may come from `fetch`, which says only in the cause what went wrong ("fetch failed" otherwise). */
export function fetchMessageOf(error: unknown): string {
  if (!(error instanceof TypeError && error.cause instanceof Error)) return messageOf(error);
  const { message, code } = error.cause as NodeJS.ErrnoException;
  // Where a name has several addresses the cause is all their refusals, without a sentence of its own.
  return message || code || error.message;
}
