// coordinator.json of a run: what its last coordinator trains, where its live page is, who it is, and whether it ended
// in order. Readers take it as a hint and check what it says; nothing is decided by it.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { ownerSchema } from '../checkpoint/owner.js';
import { endings } from '../metrics/events.js';
import { jsonText } from '../util/json.js';
import type { RunView } from './run-view.js';

const noticeSchema = z.object({
  /** What it trains. */
  run: z.looseObject({ runId: z.string(), term: z.int() }),
  /** Where /api/run is, as seen from its own host; null when it serves nothing. */
  http: z.string().nullable(),
  owner: ownerSchema,
  ended: z.object({ reason: z.enum(endings), detail: z.string(), time: z.number() }).nullable(),
});

export interface Notice extends Readonly<Omit<z.infer<typeof noticeSchema>, 'run'>> {
  readonly run: NonNullable<RunView['run']>;
}

export async function writeNotice(file: string, notice: Notice): Promise<void> {
  const temporary = `${file}.${notice.run.term}`;
  await writeFile(temporary, jsonText(notice));
  await rename(temporary, file);
}

/** Says how the coordinator ended, unless another one has followed it. */
export async function endNotice(file: string, notice: Notice): Promise<void> {
  const current = await readNotice(file);
  if (current === null || current.run.term <= notice.run.term) await writeNotice(file, notice);
}

/** null when there is none, or none that can be understood. */
export async function readNotice(file: string): Promise<Notice | null> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    noticeSchema.parse(value);
    return value as Notice;
  } catch {
    return null;
  }
}
