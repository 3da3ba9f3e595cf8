// A `lockstep` process whose log is read as it is written: what happened in it, and when.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/util/package.js';

const MAIN = `${packageRoot}dist/src/cli/main.js`;

/** A line of pino's log; `time` is when it was written. */
export interface LogLine {
  readonly time: number; // ms since 1970
  readonly msg: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class LoggedProcess {
  /** When it was started, ms since 1970. */
  readonly startedAt = Date.now();
  private readonly child: ChildProcess;
  private readonly lines: LogLine[] = [];
  private waiting: (() => void)[] = [];
  private isOver = false;
  private readonly closed: Promise<unknown>;

  /** @param signal kills the process when aborted */
  constructor(args: readonly string[], signal: AbortSignal) {
    this.child = spawn(process.execPath, [MAIN, ...args, '--log-level', 'debug'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    this.child.on('error', () => undefined); // an abort is an error; that it has ended is what counts
    this.closed = once(this.child, 'close').then(() => {
      this.isOver = true;
      this.wake();
    });
    createInterface({ input: this.child.stderr! }).on('line', (text) => {
      this.lines.push(parse(text));
      this.wake();
    });
  }

  /** The first line written since `since` (ms since 1970) that fits; rejects when the process ends without. */
  async line(what: string, since: number, fits: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find((line) => line.time >= since && fits(line));
      if (found) return found;
      if (this.isOver) throw new Error(`lockstep ended before ${what}:\n${this.lastWords()}`);
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.closed;
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private lastWords(): string {
    return this.lines
      .slice(-12)
      .map(({ msg }) => msg)
      .join('\n');
  }
}

function parse(text: string): LogLine {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    return { time: Date.parse(String(fields['time'])), msg: String(fields['msg']), fields };
  } catch {
    return { time: Date.now(), msg: text, fields: {} };
  }
}
