// Commands that are run to their end, as a user runs them.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { packageRoot } from '../../src/util/package.js';

/** The command line's program. */
export const LOCKSTEP = `${packageRoot}dist/src/cli/main.js`;

/** What an error message quotes of a process that failed. */
const QUOTED_LINES = 12;

export interface RunOptions {
  readonly cwd?: string;
  /** Beside the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** What it reads from stdin. */
  readonly input?: string;
  /** Kills the process when aborted. */
  readonly signal?: AbortSignal;
}

export interface Outcome {
  /** Exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly out: string;
  readonly err: string;
}

export function runLockstep(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runNode([LOCKSTEP, ...args], options);
}

/** What it writes to stdout; throws with its last words when it fails. */
export async function lockstepOutput(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, out, err } = await runLockstep(args, options);
  if (code === 0) return out;
  throw new Error(`lockstep ${args[0]} ended with ${code}; its last words:\n${lastWords(err)}`);
}

/** Node with these arguments, to its end and that of every process that it started. */
export async function runNode(
  args: readonly string[],
  { cwd, env, input = '', signal }: RunOptions = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    signal,
    killSignal: 'SIGKILL',
  });
  child.on('error', () => undefined); // of an abort: that it has ended is what counts
  child.stdin.on('error', () => undefined); // it may end before it has read everything
  child.stdin.end(input);
  const closed = new Promise<number | NodeJS.Signals>((resolve) =>
    child.on('close', (code, killedBy) => resolve(killedBy ?? code!)),
  );
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, out, err };
}

/** The end of what a process wrote, for an error message. */
export function lastWords(text: string): string {
  return text.trimEnd().split('\n').slice(-QUOTED_LINES).join('\n');
}
