// Positional reads and writes of float32 vectors in files of this machine.

import { open, type FileHandle } from 'node:fs/promises';
import { assert } from '../util/errors.js';

/** Bytes per read or write call: large enough to stream, small enough to leave the thread pool to others. */
const PIECE_BYTES = 4 << 20;

assert(
  new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
  'float32 files are little-endian, so must be the machine',
);

/** The bytes of a float32 vector, which may lie on a SharedArrayBuffer. */
export function bytesOf(values: Float32Array): Uint8Array {
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

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(PIECE_BYTES, bytes.byteLength - done);
    done += (await handle.write(bytes, done, length, position + done)).bytesWritten;
  }
}

/**
 * Writes `values` (may lie on a SharedArrayBuffer; must not change until the promise settles) at byte `position`
 * of an existing file. Any thread may call it, slices in any order. It does not sync: sealing the file does.
 */
export async function writeSlice(file: string, position: number, values: Float32Array): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await writeFully(handle, bytesOf(values), position);
  } finally {
    await handle.close();
  }
}

/** Makes room for a new file of `bytes` bytes that begins with `head` and holds zeros. Throws EEXIST when there is one. */
export async function allocateFile(file: string, head: Uint8Array, bytes: number): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(head);
    await handle.truncate(bytes);
  } finally {
    await handle.close();
  }
}
