// Memory that several threads compute on.
import { loadAddon } from './load.js';

const CACHE_LINE = 64;

/**
 * Zeros on a SharedArrayBuffer, from a cache line's beginning and on large pages: a step passes all parameters and gradients, and
 * is a tenth longer on small ones.
 * @throws RangeError where there is no room for so many
 */
export function sharedFloats(count: number): Float32Array {
  const bytes = count * Float32Array.BYTES_PER_ELEMENT;
  const memory = new SharedArrayBuffer(bytes + CACHE_LINE);
  return new Float32Array(memory, loadAddon().useHugePages(new Uint8Array(memory)), count);
}
