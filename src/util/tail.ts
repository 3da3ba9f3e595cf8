// The last lines of a text file that may be long.
import { open } from 'node:fs/promises';

/** Whole lines of the last `bytes` bytes, oldest first, and what follows the last line break; none when there is no such file. */
export async function lastLines(file: string, bytes: number): Promise<string[]> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!handle) return [];
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - bytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer
      .toString('utf8', 0, bytesRead)
      .split('\n')
      .slice(start > 0 ? 1 : 0);
  } finally {
    await handle.close();
  }
}
