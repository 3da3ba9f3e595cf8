// Memory that several threads compute on.
import { loadAddon } from './load.js';

/** Zeros, on large pages: a step passes all parameters and gradients, and is a tenth longer on small ones. */
export function sharedMemory(bytes: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes);
  loadAddon().useHugePages(new Uint8Array(memory));
  return memory;
}
