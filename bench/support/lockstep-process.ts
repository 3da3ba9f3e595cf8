// One of Lockstep's own commands as a child process, driven by the lines it writes: what is done to it is decided by what
// happened, never by time. It is killed when its parent exits, unless a signal ends that one, and does not keep it from exiting.
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { parseLine, says, type LogLine } from './log-lines.js';
import { LOCKSTEP } from './run-lockstep.js';

/** How long a silent process is waited for, and a line of one that speaks: long for a busy machine, and short enough that a test ends with a log. */
const PATIENCE_MS = 120_000;
const PATIENCE_FOR_A_LINE_MS = 300_000;
/** What an error message quotes of a log. */
const QUOTED_LINES = 400;

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export interface ProcessOptions {
  readonly cwd?: string | undefined;
  /** Beside the environment of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** A command that runs the rest of its arguments in its own place, such as `ip netns exec NAME`. */
  readonly within?: readonly string[] | undefined;
  /** Kills the process when aborted. */
  readonly signal?: AbortSignal | undefined;
}

export interface Listening {
  readonly url: string;
  /** Where its reducers listen. */
  readonly reducers: readonly string[];
}

export class LockstepProcess {
  /** Of both its outputs, as they came. */
  readonly lines: LogLine[] = [];
  /** When it was started, ms since 1970. */
  readonly startedAt = Date.now();
  private readonly child: ChildProcess;
  private readonly watchers = new Set<() => void>();
  private end: number | NodeJS.Signals | undefined;

  constructor(args: readonly string[], { cwd, env, within = [], signal }: ProcessOptions = {}) {
    const [command, ...rest] = [...within, process.execPath, LOCKSTEP, ...args];
    this.child = spawn(command!, rest, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      signal,
      killSignal: 'SIGKILL',
    });
    running.add(this.child);
    this.child.unref();
    // Its end follows, and tells.
    this.child.on('error', ({ message }) => this.lines.push({ msg: message }));
    this.child.on('close', (code, killedBy) => {
      running.delete(this.child);
      this.end = killedBy ?? code!;
      this.wake();
    });
    for (const stream of [this.child.stdout!, this.child.stderr!] as Socket[]) {
      stream.unref(); // whoever waits for a line keeps this process alive
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(parseLine(line));
        this.wake();
      });
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /** False when it had ended. */
  kill(signal: NodeJS.Signals): boolean {
    return this.child.kill(signal);
  }

  /** Resolves when SIGSTOP has taken effect; Linux tells that in /proc and nowhere else. */
  async stopped(): Promise<void> {
    for (;;) {
      if (this.hasEnded) throw new Error(`the process ended before it was stopped:\n${this.lastLines()}`);
      const stat = await readFile(`/proc/${this.pid}/stat`, 'utf8').catch(() => ''); // none: it ends
      if (stat.includes(') T ')) return;
      await setImmediate();
    }
  }

  /** Exit code, or the signal that ended it, once every process that it started has ended, too. */
  async exit(): Promise<number | NodeJS.Signals> {
    while (this.end === undefined) await this.more('its end');
    return this.end;
  }

  /** The first line that fits, past or to come; throws with the log when the process ends without one. */
  async line(what: string, fits: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    const deadline = performance.now() + PATIENCE_FOR_A_LINE_MS;
    for (;;) {
      const found = this.lines.slice(from).find(fits);
      if (found) return found;
      if (this.hasEnded) throw new Error(`the process ended before ${what}:\n${this.lastLines()}`);
      await this.more(what, deadline - performance.now());
    }
  }

  /** The first line to come that fits. */
  nextLine(what: string, fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.line(what, fits, this.lines.length);
  }

  /** The first group of the first match of `pattern` in a message. */
  async told(what: string, pattern: RegExp): Promise<string> {
    const { msg } = await this.line(what, ({ msg }) => pattern.test(msg));
    return pattern.exec(msg)![1]!;
  }

  /** What a coordinator that logs at `info` says when it listens. */
  async listening(): Promise<Listening> {
    const { url, reducers } = await this.line('it listens', says('coordinator listening'));
    return { url, reducers } as Listening;
  }

  /** All that it has written. */
  text(): string {
    return textOf(this.lines);
  }

  private lastLines(): string {
    return textOf(this.lines.slice(-QUOTED_LINES));
  }

  /** Resolves when it has written another line or has ended; throws with the log when neither comes for a long time. */
  private more(what: string, patienceMs = PATIENCE_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`waited in vain for ${what}:\n${this.lastLines()}`));
      const timer = setTimeout(fail, Math.min(patienceMs, PATIENCE_MS));
      this.watchers.add(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private wake(): void {
    for (const resolve of this.watchers) resolve();
    this.watchers.clear();
  }
}

function textOf(lines: readonly LogLine[]): string {
  return lines.map((line) => JSON.stringify(line)).join('\n');
}
