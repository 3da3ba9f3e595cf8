// A folder that exists as long as a benchmark needs it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Calls `body` with the path of a new folder and removes it afterwards, whatever happened. */
export async function withTemporaryFolder<T>(body: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'lockstep-bench-'));
  try {
    return await body(path);
  } finally {
    // A process that was just killed may still be writing its last file.
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
  }
}
