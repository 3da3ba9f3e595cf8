// One line of progress: redrawn in place on a terminal, printed now and then elsewhere (CI=true, a pipe, a
// file), where it uses no cursor control.

import type { Writable } from 'node:stream';
import { cut } from '../util/columns.js';
import { formatCount, formatDuration } from '../util/format.js';
import { bar as drawBar } from './sparkline.js';
import { columnsOf } from './spans.js';

const REDRAW_MS = 100;
const PLAIN_MS = 5000;
const BAR_WIDTH = 20;

/** A terminal, or whatever else the lines go to. */
export type ProgressStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface ProgressOptions {
  /** What is going on, such as "train". */
  readonly label: string;
  /** What `done` will be at the end; null when that is not known. */
  readonly total: number | null;
  /** What is counted, after the numbers: "steps", "files". */
  readonly unit?: string;
  /** Whether it says how long is left, by its own pace; default: true. */
  readonly timeLeft?: boolean;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now?: () => number;
  /** Whether the line is redrawn in place; default: whether the stream is a terminal that can. */
  readonly live?: boolean;
}

export interface Progress {
  /** `done` of `total`, with details such as "loss 3.21" or "2 workers". Cheap: most calls draw nothing. */
  update(done: number, details?: readonly string[]): void;
  /** Prints a line of text above the progress. */
  log(line: string): void;
  /** Prints the last state and ends the line. No call may follow. */
  close(): void;
}

/** Whether a stream is a terminal on which a line may be redrawn. */
export function isLive(stream: ProgressStream, env: NodeJS.ProcessEnv = process.env): boolean {
  const ci = env['CI'] !== undefined && !['', '0', 'false'].includes(env['CI']);
  return stream.isTTY === true && !ci && env['TERM'] !== 'dumb';
}

export function createProgress(stream: ProgressStream, options: ProgressOptions): Progress {
  const live = options.live ?? isLive(stream);
  const now = options.now ?? (() => performance.now());
  let first: { done: number; at: number } | null = null;
  let latest: { done: number; details: readonly string[] } | null = null;
  let drawnAt = -Infinity;
  let stale = false; // `latest` is newer than what was drawn

  const draw = (): void => {
    if (latest === null || first === null) return;
    drawnAt = now();
    stale = false;
    const seconds = (drawnAt - first.at) / 1000;
    const line = progressLine(options, { ...latest, since: first.done, seconds, bar: live });
    stream.write(live ? `\r${cut(line, columnsOf(stream) - 1)}\x1b[K` : `${line}\n`);
  };

  return {
    update(done, details = []) {
      first ??= { done, at: now() };
      latest = { done, details };
      stale = true;
      if (now() - drawnAt >= (live ? REDRAW_MS : PLAIN_MS)) draw();
    },
    log(line) {
      stream.write(live ? `\r${line}\x1b[K\n` : `${line}\n`);
      if (live) draw();
    },
    close() {
      if (stale) draw();
      if (live && latest !== null) stream.write('\n');
    },
  };
}

interface ProgressState {
  readonly done: number;
  readonly details: readonly string[];
  /** `done` at the first update: what this process did not do itself. */
  readonly since: number;
  /** Since the first update. */
  readonly seconds: number;
  readonly bar: boolean;
}

/** For example "train  ████████░░░░░░░░░░░░  400/1,000 steps  loss 3.21  1:12 left". */
function progressLine(options: ProgressOptions, state: ProgressState): string {
  const { label, total, unit, timeLeft = true } = options;
  const { done, details, since, seconds, bar } = state;
  const parts = [label];
  if (bar && total !== null && total > 0) parts.push(drawBar(done / total, BAR_WIDTH));
  const count = total === null ? formatCount(done) : `${formatCount(done)}/${formatCount(total)}`;
  parts.push(unit === undefined ? count : `${count} ${unit}`, ...details);
  if (timeLeft && total !== null && done < total && done > since && seconds >= 1) {
    parts.push(`${formatDuration((seconds / (done - since)) * (total - done))} left`);
  } else if (total !== null && done >= total) {
    parts.push(`in ${formatDuration(seconds)}`);
  }
  return parts.join('  ');
}
