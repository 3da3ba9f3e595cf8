// metrics.jsonl of a run: one JSON object a line per step, evaluation and checkpoint, for plots and for later. After a
// resume it reads as if nothing had happened: what came after the checkpoint is cut off and written again.

import { open, type FileHandle } from 'node:fs/promises';
import { lastLines } from '../util/tail.js';
import type { CheckpointWritten, Evaluated, StepCommitted, StepSkipped, TrainingEvent } from './events.js';

type Recorded = StepCommitted | StepSkipped | Evaluated | CheckpointWritten;

/** `time`: seconds since 1970, of writing. Numbers that are not finite are null, as JSON has none. */
export type MetricsRecord = Recorded & { readonly time: number };

/** The version after which a record was made: what a resume from that version keeps. */
function versionOf(record: MetricsRecord): number {
  return record.kind === 'checkpointWritten' ? record.step : record.version;
}

/** null for a line that is not a whole record, as a crash leaves it. */
function parseRecord(line: string): MetricsRecord | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'kind' in value ? (value as MetricsRecord) : null;
  } catch {
    return null;
  }
}

/** Each line with the byte offset at which it starts. The last one may lack its newline: `whole` is false then. */
async function* linesOf(handle: FileHandle): AsyncGenerator<{ text: string; start: number; whole: boolean }> {
  let start = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of handle.createReadStream({
    start: 0,
    autoClose: false,
  }) as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let from = 0;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, from)) {
      yield { text: rest.toString('utf8', from, end), start: start + from, whole: true };
      from = end + 1;
    }
    start += from;
    rest = rest.subarray(from);
  }
  if (rest.length > 0) yield { text: rest.toString('utf8'), start, whole: false };
}

/**
 * Cuts the file at the first record beyond `version` (or not whole) and puts back the later ones that belong: a checkpoint
 * is recorded when it is finished, steps later. Returns how many steps were cut off.
 */
async function cutBeyond(handle: FileHandle, version: number): Promise<number> {
  let cut: number | null = null;
  let steps = 0;
  const later: string[] = [];
  for await (const { text, start, whole } of linesOf(handle)) {
    const record = whole ? parseRecord(text) : null;
    const belongs = record !== null && versionOf(record) <= version;
    if (record !== null && !belongs && (record.kind === 'stepCommitted' || record.kind === 'stepSkipped'))
      steps++;
    if (!belongs) cut ??= start;
    else if (cut !== null) later.push(`${text}\n`);
  }
  if (cut === null) return 0;
  await handle.truncate(cut);
  await handle.appendFile(later.join(''));
  return steps;
}

/** Appends records in the background, in order. What a full disk refuses is kept and written later. */
export class MetricsLog {
  private waiting: string[] = [];
  private writing: Promise<void> | null = null;
  private failure: Error | null = null;

  private constructor(
    private readonly handle: FileHandle,
    private readonly now: () => number,
    /** Steps beyond the version it was opened for, which an earlier process had recorded. */
    readonly stepsCut: number,
    /** Bytes of whole records. */
    private bytes: number,
  ) {}

  /**
   * Opens or creates `file` for a run that goes on from `version` (0: from the start); records beyond it are removed.
   * `now`: seconds since 1970.
   */
  static async open(
    file: string,
    version: number,
    now: () => number = () => Date.now() / 1000,
  ): Promise<MetricsLog> {
    const handle = await open(file, 'a+');
    try {
      const stepsCut = await cutBeyond(handle, version);
      return new MetricsLog(handle, now, stepsCut, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Records the event if it is of a kind that is kept. Never waits; a failure to write shows in `flush` and `close`. */
  readonly on = (event: TrainingEvent): void => {
    switch (event.kind) {
      case 'stepCommitted':
      case 'stepSkipped':
      case 'evaluated':
      case 'checkpointWritten':
        this.waiting.push(`${JSON.stringify({ ...event, time: this.now() })}\n`);
        this.writing ??= this.write();
        return;
      default:
    }
  };

  private async write(): Promise<void> {
    try {
      if (this.failure !== null) await this.handle.truncate(this.bytes); // what the failure left of a record
      this.failure = null;
      while (this.waiting.length > 0) {
        const { length } = this.waiting;
        const lines = Buffer.from(this.waiting.join(''));
        await this.handle.appendFile(lines);
        this.bytes += lines.length;
        this.waiting.splice(0, length);
      }
    } catch (error) {
      this.failure = error as Error;
    } finally {
      this.writing = null;
    }
  }

  /** Settles when every record so far has been handed to the system; throws when that is not possible now. */
  async flush(): Promise<void> {
    await this.writing;
    if (this.failure !== null) await (this.writing = this.write());
    if (this.failure !== null) throw this.failure;
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.handle.close();
    }
  }
}

/** Its last records, in order: those in the last `bytes` bytes. */
export async function lastRecords(file: string, bytes: number): Promise<MetricsRecord[]> {
  return (await lastLines(file, bytes)).flatMap((line) => parseRecord(line) ?? []);
}

/** The records of metrics.jsonl in order; none when there is no such file. A last line that is cut off is left out. */
export async function* metricsRecords(file: string): AsyncGenerator<MetricsRecord> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!handle) return;
  try {
    for await (const { text, whole } of linesOf(handle)) {
      const record = whole ? parseRecord(text) : null;
      if (record !== null) yield record;
    }
  } finally {
    await handle.close();
  }
}
