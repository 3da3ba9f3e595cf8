// A process that stays warm and answers each line with a line: several can be measured in turn.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { lastWords } from './run-lockstep.js';

export interface AnsweringCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Beside the environment of this process. */
  readonly environment: Readonly<Record<string, string>>;
}

export class AnsweringProcess {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string, undefined>;
  private errorOutput = '';

  /** @param signal kills the process when aborted */
  constructor({ program, args, environment }: AnsweringCommand, signal: AbortSignal) {
    this.child = spawn(program, args, {
      env: { ...process.env, ...environment },
      signal,
      killSignal: 'SIGKILL',
    });
    // Its output ends either way, and reading it tells; writing to one that is gone is no news then.
    this.child.on('error', ({ message }) => (this.errorOutput += `${message}\n`));
    this.child.stdin.on('error', () => undefined);
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.errorOutput += text));
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it writes: what it says before it is asked. */
  async line(): Promise<string> {
    const line = await this.lines.next();
    if (line.done !== true) return line.value;
    const words = lastWords(this.errorOutput);
    throw new Error(`${this.child.spawnargs.join(' ')} ended early; its last words:\n${words}`);
  }

  ask(question: string): Promise<string> {
    this.child.stdin.write(`${question}\n`);
    return this.line();
  }

  /** Ends the process, whatever it does. */
  async close(): Promise<void> {
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null)
      return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}
