// TensorBoard's event files of a run: one for each coordinator that worked on it. A file begins by declaring void what
// older ones say beyond the version it goes on from, so that steps that are done again appear once.

import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { messageOf } from '../../util/errors.js';
import { printable } from '../../util/format.js';
import type { Prediction } from '../events.js';
import { scalarsOf } from './scalars.js';
import { pointsRecord, sessionStartRecord, versionRecord, type Point } from './tfevents.js';
import type { Tracker } from './tracker.js';

export interface TensorBoardOptions {
  /** What `tensorboard --logdir` is given, or a folder in it; created when missing. */
  readonly directory: string;
  /** Version that the coordinator begins with, and its term. */
  readonly version: number;
  readonly term: number;
  /** Told once in one sentence when writing fails; nothing is written from then on. */
  readonly onFailure: (message: string) => void;
  /** Seconds since 1970. */
  readonly now?: () => number;
}

export class TensorBoard implements Tracker {
  private waiting: Buffer[] = [];
  private handle: FileHandle | undefined;
  private writing: Promise<void> | undefined;
  private failed = false;
  private readonly now: () => number;

  constructor(private readonly options: TensorBoardOptions) {
    this.now = options.now ?? (() => Date.now() / 1000);
    this.write(versionRecord(this.now()));
    this.write(sessionStartRecord(this.now(), options.version + 1));
  }

  readonly on: Tracker['on'] = (event) => {
    if (event.kind === 'predicted') {
      const points = event.predictions.map((text, i) => ({
        tag: `samples/${i + 1}`,
        value: markdownOf(text),
      }));
      return this.points(event.version, points);
    }
    const scalars = scalarsOf(event);
    if (!scalars) return;
    this.points(
      scalars.step,
      Object.entries(scalars.values).map(([tag, value]) => ({ tag, value })),
    );
  };

  points(step: number, points: readonly Point[]): void {
    if (points.length > 0) this.write(pointsRecord(this.now(), step, points));
  }

  async close(): Promise<void> {
    await this.writing;
    await this.handle?.close().catch((error: unknown) => this.fail(error));
  }

  private write(record: Buffer): void {
    if (this.failed) return;
    this.waiting.push(record);
    this.writing ??= this.drain().finally(() => (this.writing = undefined));
  }

  private async drain(): Promise<void> {
    try {
      this.handle ??= await this.create();
      while (this.waiting.length > 0) {
        const records = Buffer.concat(this.waiting);
        this.waiting = [];
        await this.handle.appendFile(records);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  private async create(): Promise<FileHandle> {
    const { directory, term } = this.options;
    await mkdir(directory, { recursive: true });
    const seconds = String(Math.floor(this.now())).padStart(10, '0');
    // TensorBoard reads a folder's files in the order of their names.
    const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${term}`;
    return open(path.join(directory, name), 'a');
  }

  private fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.waiting = [];
    this.options.onFailure(`TensorBoard's event file could not be written: ${messageOf(error)}`);
  }
}

/** A table in Markdown, in which a text means nothing but itself. */
function markdownOf({ source, prediction, target }: Prediction): string {
  const rows = Object.entries({ source, prediction, target }).map(
    ([name, text]) => `| **${name}** | ${plain(text)} |`,
  );
  return ['| | |', '|-|-|', ...rows].join('\n');
}

function plain(text: string): string {
  return printable(text)
    .trim()
    .replaceAll(/[^\p{L}\p{N} ]/gu, (character) => `&#${character.codePointAt(0)};`);
}
