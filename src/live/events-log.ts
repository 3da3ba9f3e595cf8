// events.jsonl of a run: what was worth telling a person, a JSON object a line. Unlike metrics.jsonl it is only ever
// appended to, so that faults before a restart stay known; it is a help to people, and nothing is decided by it.
import { createWriteStream, type WriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { RunEvent } from './run-view.js';

/** As much of its end as is read back. */
const TAIL_BYTES = 64 * 1024;

export class EventsLog {
  private readonly stream: WriteStream;

  /** @param onFailure told once when it cannot be written; nothing else stops for that */
  constructor(file: string, onFailure: (message: string) => void) {
    this.stream = createWriteStream(file, { flags: 'a' });
    this.stream.on('error', (error) => onFailure(`${file} cannot be written: ${error.message}`));
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
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!handle) return [];
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    return lines.slice(start > 0 ? 1 : 0).flatMap((line) => parseEvent(line) ?? []);
  } finally {
    await handle.close();
  }
}

function parseEvent(line: string): RunEvent | null {
  try {
    const value = JSON.parse(line) as Partial<RunEvent>;
    return typeof value.text === 'string' && typeof value.time === 'number' ? (value as RunEvent) : null;
  } catch {
    return null; // a line that a crash cut off
  }
}
