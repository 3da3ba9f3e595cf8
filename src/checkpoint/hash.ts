// SHA-256 sums of files, computed in threads of their own.

import { Piscina } from 'piscina';

/** Two files at a time: parameters and optimizer state are the only large ones. */
const THREADS = 2;

/** SHA-256 sums in hex, in the order of `files`. The threads end before the promise settles. */
export async function hashFiles(files: readonly string[]): Promise<string[]> {
  const pool = new Piscina<string, string>({
    filename: new URL('./hash-thread.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: THREADS,
  });
  try {
    return await Promise.all(files.map((file) => pool.run(file)));
  } finally {
    await pool.destroy();
  }
}
