// What the addon offers for bytes that come from and go to sockets.
import { loadAddon } from './load.js';

const addon = loadAddon();

/** CRC-32, as zlib computes it. */
export const crc32 = (bytes: Uint8Array): number => addon.crc32(bytes);

/** Gives back the memory under `bytes` at once, see Addon.release. */
export const release = (bytes: Uint8Array): void => addon.release(bytes);
