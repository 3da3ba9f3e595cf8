// Positional reads and writes of float32 vectors, and files that are on disk when the call returns.

import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { assert } from '../util/errors.js';

/** Bytes per read or write call: large enough to stream, small enough to leave the thread pool to others. */
const PIECE_BYTES = 4 << 20;

assert(
  new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
  'float32 files are little-endian, so must be the machine',
);

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Fills `bytes` from `position`; throws when the file ends first. */
export async function readFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(PIECE_BYTES, bytes.byteLength - done);
    const { bytesRead } = await handle.read(bytes, done, length, position + done);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${position + done}`);
    done += bytesRead;
  }
}

/** Reads `values.length` float32 values from byte `position`. `values` may lie on a SharedArrayBuffer. */
export function readSlice(handle: FileHandle, position: number, values: Float32Array): Promise<void> {
  return readFully(handle, bytesOf(values), position);
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(PIECE_BYTES, bytes.byteLength - done);
    done += (await handle.write(bytes, done, length, position + done)).bytesWritten;
  }
}

/**
 * Writes `values` (may lie on a SharedArrayBuffer; must not change until the promise settles) at byte `position`
 * of an existing file. Any thread may call it, slices in any order. It does not sync: finishing the checkpoint does.
 */
export async function writeSlice(file: string, position: number, values: Float32Array): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await writeFully(handle, bytesOf(values), position);
  } finally {
    await handle.close();
  }
}

/** Creates `file` (EEXIST if there is one), writes it, and returns when its bytes are on disk. */
export async function createFile(file: string, data: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Returns when everything written to `target` so far, by any process of this host, is on disk. Also for directories. */
export async function syncPath(target: string): Promise<void> {
  const handle = await open(target, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates `file` with all of `data` or not at all, also when the process or the machine stops in between. Returns false when
 * there is one already. Where storage has no hard links, a stop in between can leave a part.
 */
export async function publishFile(file: string, data: string): Promise<boolean> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  await createFile(temporary, data);
  try {
    await link(temporary, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw error;
      return createFile(file, data);
    });
    await syncPath(path.dirname(file));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
