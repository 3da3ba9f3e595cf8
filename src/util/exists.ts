// Whether something is there: a file or folder by its path, a process by its id.
import { stat } from 'node:fs/promises';

/** Whether a path leads to anything that can be seen. */
export async function pathExists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Whether a process of this machine has this id, also one that may not be signalled. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
