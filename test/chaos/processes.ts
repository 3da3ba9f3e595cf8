// Lockstep's own commands as child processes, driven by the log lines they write: faults are scripted by what
// happened, never by time.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** How long anything is waited for: long for a busy machine, and short enough that a test ends with a log. */
const PATIENCE_MS = 120_000;

/** A line of the log: pino's fields, or the plain text as `msg`. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

export interface ProcessOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** A command that runs the rest of its arguments in its own place, such as `ip netns exec NAME`. */
  readonly within?: readonly string[] | undefined;
}

/** One process of `lockstep`. */
export class Lockstep {
  readonly lines: LogLine[] = [];
  private readonly child: ChildProcess;
  private readonly watchers = new Set<() => void>();
  private readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  private isOver = false;

  constructor(args: readonly string[], { cwd, env, within = [] }: ProcessOptions) {
    const [command, ...rest] = [...within, process.execPath, MAIN, ...args];
    this.child = spawn(command!, rest, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.ended = once(this.child, 'close').then(([code, signal]: unknown[]) => {
      this.isOver = true;
      this.wake();
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(parseLine(line));
        this.wake();
      });
    }
  }

  /** False when it had ended. */
  kill(signal: NodeJS.Signals): boolean {
    return this.child.kill(signal);
  }

  get hasEnded(): boolean {
    return this.isOver;
  }

  /** Resolves when SIGSTOP has taken effect; Linux tells that in /proc and nowhere else. */
  async stopped(): Promise<void> {
    for (;;) {
      if (this.isOver) throw new Error(`the process ended before it was stopped:\n${this.text()}`);
      const stat = await readFile(`/proc/${this.child.pid!}/stat`, 'utf8').catch(() => ''); // none: it ends
      if (stat.includes(') T ')) return;
      await setImmediate();
    }
  }

  /** Exit code, or the signal that ended it. */
  async exit(): Promise<number | NodeJS.Signals> {
    while (!this.isOver) {
      await this.patiently('its end', new Promise<void>((resolve) => this.watchers.add(resolve)));
    }
    const { code, signal } = await this.ended;
    return signal ?? code!;
  }

  /** The first line, past or to come, that fits; throws with the whole log when the process ends without one. */
  line(what: string, fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.lineFrom(0, what, fits);
  }

  /** The first line to come that fits. */
  nextLine(what: string, fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.lineFrom(this.lines.length, what, fits);
  }

  text(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }

  private async lineFrom(start: number, what: string, fits: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const found = this.lines.slice(start).find(fits);
      if (found) return found;
      if (this.isOver) throw new Error(`the process ended before ${what}:\n${this.text()}`);
      await this.patiently(what, new Promise<void>((resolve) => this.watchers.add(resolve)));
    }
  }

  /** `awaited`, or an error with the whole log when nothing of it comes for a long time. */
  private async patiently<T>(what: string, awaited: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const fail = (): void => reject(new Error(`waited in vain for ${what}:\n${this.text()}`));
      timer = setTimeout(fail, PATIENCE_MS);
    });
    try {
      return await Promise.race([awaited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private wake(): void {
    for (const resolve of this.watchers) resolve();
    this.watchers.clear();
  }
}

/** A message, or its beginning where `start` ends with "…". */
export function says(start: string): (line: LogLine) => boolean {
  const text = start.replace(/…$/, '');
  return ({ msg }) => (text === start ? msg === text : msg.startsWith(text));
}

export function isLease(fromStep: number, worker?: string): (line: LogLine) => boolean {
  return (line) =>
    line.msg === 'lease' &&
    Number(line['step']) >= fromStep &&
    (worker === undefined || line['worker'] === worker);
}

export function isCommit(fromStep: number): (line: LogLine) => boolean {
  return (line) => line.msg === 'commit' && Number(line['step']) >= fromStep;
}

export function hasLeft(worker: string): (line: LogLine) => boolean {
  return ({ msg }) => msg.startsWith(`${worker} on `) && msg.includes(' left: ');
}

function parseLine(line: string): LogLine {
  try {
    const value = JSON.parse(line) as unknown;
    if (typeof value === 'object' && value !== null) return { msg: '', ...value };
  } catch {
    // Not a line of the log: progress, or a result.
  }
  return { msg: line };
}
