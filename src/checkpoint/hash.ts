// SHA-256 sums of files, computed in threads of their own.

import { Piscina } from 'piscina';

/** Two files at a time: parameters and optimizer state are the only large ones. */
const THREADS = 2;

/** Runs `use` with a function that gives a file's SHA-256 in hex; the threads end with it. */
export async function withHasher<T>(
  use: (hash: (file: string) => Promise<string>) => Promise<T>,
): Promise<T> {
  const pool = new Piscina<string, string>({
    filename: new URL('./hash-thread.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: THREADS,
  });
  try {
    return await use((file) => pool.run(file));
  } finally {
    await pool.destroy();
  }
}
