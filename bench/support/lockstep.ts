// Runs `lockstep` as a user does: as a process of its own, seen through its output alone.
import { spawn, type ChildProcess } from 'node:child_process';
import { packageRoot } from '../../src/util/package.js';

const MAIN = `${packageRoot}dist/src/cli/main.js`;
/** What an error message quotes of a process that failed. */
const QUOTED_LINES = 12;

export class Lockstep {
  /** What it has written to stdout, once it (and every process it started) has ended with code 0. */
  readonly finished: Promise<string>;
  private readonly child: ChildProcess;
  private errorOutput = '';
  private readonly waiting: (() => void)[] = [];
  private ended = false;

  /**
   * @param signal kills the process when aborted
   * @param environment beside that of this process
   */
  constructor(
    private readonly args: readonly string[],
    signal: AbortSignal,
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.errorOutput += text;
      this.wake();
    });
    this.finished = this.run();
    // Whoever waits for it learns of a failure; nobody has to.
    this.finished.catch(() => undefined);
  }

  /** The first text that `pattern` matches in what it writes to stderr; rejects when it ends without. */
  async printed(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.errorOutput);
      if (match) return match[0];
      if (this.ended) throw this.failure('ended early');
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  private run(): Promise<string> {
    let output = '';
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
    return new Promise((resolve, reject) => {
      // An abort is an error and a kill: what counts is that the process has gone.
      this.child.on('error', (error) => {
        if (this.child.pid === undefined) reject(error);
      });
      this.child.on('close', (code, killedBy) => {
        this.ended = true;
        this.wake();
        if (code === 0) resolve(output);
        else reject(this.failure(`ended with ${killedBy ?? `exit code ${code}`}`));
      });
    });
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private failure(how: string): Error {
    const quoted = this.errorOutput.trimEnd().split('\n').slice(-QUOTED_LINES).join('\n');
    return new Error(`lockstep ${this.args[0]} ${how}; its last words:\n${quoted}`);
  }
}
