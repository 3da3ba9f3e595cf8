// What the command line writes and how it ends. Results go to stdout, and nothing else does; all else goes
// to stderr. With --json every result is one line of JSON.

import { Console } from 'node:console';
import type { Command } from 'commander';
import { UserError } from '../util/errors.js';
import { fileLimitAdvice } from './file-limit.js';

export const ExitCode = { ok: 0, fault: 1, user: 2, interrupted: 130 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Thrown by a command that ended early because of Ctrl-C; its message says how to go on. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export interface Output {
  readonly json: boolean;
  /** Writes a result to stdout: `value` as one line of JSON with --json, otherwise `text`. */
  result(value: unknown, text: string): void;
  /** Writes a remark to stderr. */
  note(line: string): void;
}

/** The output of a command as its options ask for it. */
export function outputOf(command: Command): Output {
  const json = command.optsWithGlobals()['json'] === true;
  return {
    json,
    result: (value, text) => void process.stdout.write(`${json ? JSON.stringify(value) : text}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
  };
}

/** Seconds since 1970 as the local time of day, with the day when it is another. */
export function formatTime(time: number): string {
  const date = new Date(time * 1000);
  const clock = date.toLocaleTimeString('en-GB');
  return date.toDateString() === new Date().toDateString()
    ? clock
    : `${date.toLocaleDateString('en-CA')} ${clock}`;
}

/** Sends what libraries print with `console` to stderr, so that stdout holds results only. */
export function keepStdoutForResults(): void {
  globalThis.console = new Console(process.stderr, process.stderr);
}

/**
 * A reader that closes the pipe (`lockstep … | head`) ends the process quietly: nobody is left to be told. What ends in order when
 * it is asked to does so: its sockets, closed by process.exit, would abort it.
 */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (process.listenerCount('SIGTERM') === 0) process.exit(process.exitCode ?? ExitCode.ok);
      process.exitCode = ExitCode.interrupted;
      process.kill(process.pid, 'SIGTERM');
    });
  }
}

/** Says on stderr why a command failed and returns the exit code that goes with it. */
export function reportFailure(error: unknown): ExitCode {
  if (error instanceof Interrupted) {
    process.stderr.write(`${error.message}\n`);
    return ExitCode.interrupted;
  }
  if (error instanceof UserError) {
    process.stderr.write(`error: ${error.message}\n`);
    return ExitCode.user;
  }
  if (isRefusal(error)) {
    const advice = error.code === 'EMFILE' ? `: ${fileLimitAdvice()}` : '';
    process.stderr.write(`error: the system refused: ${error.message}${advice}\n`);
    return ExitCode.user;
  }
  process.stderr.write(
    `${stackOf(error)}\nThis is a fault of Lockstep, please report it with the lines above.\n`,
  );
  return ExitCode.fault;
}

/** What an operating system says of disks, paths and rights: whatever Lockstep does, somebody else must act. */
const REFUSALS = new Set([
  'EACCES',
  'EDQUOT',
  'EEXIST',
  'EIO',
  'EISDIR',
  'ELOOP',
  'EMFILE',
  'ENAMETOOLONG',
  'ENFILE',
  'ENOSPC',
  'ENOTDIR',
  'EPERM',
  'EROFS',
]);

function isRefusal(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && REFUSALS.has((error as NodeJS.ErrnoException).code ?? '');
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const stack = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`;
}

/** Ends the process once all output has left it (writes to a pipe are not synchronous everywhere). */
export async function exitAfterFlush(code: number): Promise<never> {
  await Promise.all([process.stdout, process.stderr].map(flush));
  process.exit(code);
}

function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) resolve();
    else stream.write('', () => resolve());
  });
}
