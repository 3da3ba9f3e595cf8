// events.jsonl of a run: what was worth telling a person, a JSON object a line. Unlike metrics.jsonl it is only ever
// appended to, so that faults before a restart stay known; it is a help to people, and nothing is decided by it.
import { createWriteStream, type WriteStream } from 'node:fs';
import { lastLines } from '../util/tail.js';
import type { RunEvent } from './run-view.js';

/** As much of its end as is read back. */
const TAIL_BYTES = 64 * 1024;

export class EventsLog {
  private constructor(private readonly stream: WriteStream) {}

  /** @param onFailure told once when it cannot be written; nothing else stops for that */
  static async open(file: string, onFailure: (message: string) => void): Promise<EventsLog> {
    const cutOff = (await lastLines(file, TAIL_BYTES)).at(-1);
    const stream = createWriteStream(file, { flags: 'a' });
    stream.on('error', (error) => onFailure(`${file} cannot be written: ${error.message}`));
    if (cutOff) stream.write('\n'); // what follows a line that a crash cut off is lines again
    return new EventsLog(stream);
  }

  on(event: RunEvent): void {
    if (!this.stream.errored) this.stream.write(`${JSON.stringify(event)}\n`);
  }

  /** Settles when all is written, or cannot be. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.stream.closed) resolve();
      else this.stream.once('close', resolve).end();
    });
  }
}

/** The last events, oldest first; none when there is no such file. */
export async function readLastEvents(file: string): Promise<RunEvent[]> {
  return (await lastLines(file, TAIL_BYTES)).flatMap((line) => parseEvent(line) ?? []);
}

function parseEvent(line: string): RunEvent | null {
  try {
    const value = JSON.parse(line) as Partial<RunEvent>;
    return typeof value.text === 'string' && typeof value.time === 'number' ? (value as RunEvent) : null;
  } catch {
    return null; // a line that a crash cut off
  }
}
