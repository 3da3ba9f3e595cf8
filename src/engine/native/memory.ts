// What the addon offers for memory: that of sockets, and vectors that threads share.
import type { Addon } from './addon.js';
import { loadAddon } from './load.js';

/** Loaded with the first use: whoever only knows the protocol needs no addon. */
let loaded: Addon | undefined;
const addon = (): Addon => (loaded ??= loadAddon());

/** A vector of zeros that several threads share, on huge pages where the system has them. */
export function sharedFloats(elements: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(elements * Float32Array.BYTES_PER_ELEMENT);
  addon().useHugePages(new Uint8Array(memory));
  return memory;
}

/** CRC-32, as zlib computes it. */
export const crc32 = (bytes: Uint8Array): number => addon().crc32(bytes);

/** Gives back the memory under `bytes` at once, see Addon.release. */
export const release = (bytes: Uint8Array): void => addon().release(bytes);
