// What the addon offers for bytes that come from and go to sockets.
import type { Addon } from './addon.js';
import { loadAddon } from './load.js';

/** Loaded with the first use: whoever only knows the protocol needs no addon. */
let loaded: Addon | undefined;
const addon = (): Addon => (loaded ??= loadAddon());

/** CRC-32, as zlib computes it. */
export const crc32 = (bytes: Uint8Array): number => addon().crc32(bytes);

/** Gives back the memory under `bytes` at once, see Addon.release. */
export const release = (bytes: Uint8Array): void => addon().release(bytes);
