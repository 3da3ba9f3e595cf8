// Which part of the input is held out for validation: a pure function of the position in it.

/**
 * Input bytes, counted after decompression through all files in their order, are cut into blocks of this size. Text
 * is held out in whole blocks (to the next line break), lines by the block in which they begin, so that
 * validation samples are long enough to be typical, and neighbours, which resemble each other, stay together.
 */
export const HELD_OUT_BLOCK_BYTES = 8192;

/** The same for pairs, which are samples as they are: a few neighbours. */
export const PAIR_BLOCK_BYTES = 1024;

/** Largest share that may be held out. */
export const MAX_HELD_OUT_SHARE = 0.5;

/**
 * Whether the byte at `offset` is held out: blocks are picked at even distances, so that the share is exact and a
 * single book is sampled from its beginning to its end. Inputs shorter than about half a distance have none.
 */
export function isHeldOut(offset: number, share: number, blockBytes = HELD_OUT_BLOCK_BYTES): boolean {
  const block = Math.floor(offset / blockBytes);
  return Math.floor((block + 1) * share + 0.5) > Math.floor(block * share + 0.5);
}

/** The smallest share in hundredths that holds out some of so many bytes, and not all; null: there is none. */
export function leastShare(bytes: number, blockBytes: number): number | null {
  const blocks = Math.ceil(bytes / blockBytes);
  return blocks < 2 ? null : Math.ceil(50 / blocks) / 100;
}

/** Bytes from `offset` to the next block that belongs to the other part, at most `limit`. */
export function bytesToChange(offset: number, share: number, limit: number): number {
  const here = isHeldOut(offset, share);
  let next = (Math.floor(offset / HELD_OUT_BLOCK_BYTES) + 1) * HELD_OUT_BLOCK_BYTES;
  while (next - offset < limit && isHeldOut(next, share) === here) next += HELD_OUT_BLOCK_BYTES;
  return Math.min(limit, next - offset);
}
