// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3"
// (SC 2011). A word is a pure function of (key, counter): nothing is ever drawn "next", so any part of a
// random field can be computed anywhere. The native kernels compute the same words (native/philox.h).

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two uint32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * Ten rounds of Philox4x32: four uint32 words for a 128-bit counter under a 64-bit key.
 * The words are written to `out[0..3]`.
 */
export function philox(
  out: Uint32Array,
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
): void {
  let c0 = counter0 >>> 0;
  let c1 = counter1 >>> 0;
  let c2 = counter2 >>> 0;
  let c3 = counter3 >>> 0;
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * What a random field is keyed by. `seed` is a safe integer (its low and high words are Philox's key);
 * the counter is (element / 4, site, microBatch, step), all uint32. Sites are listed in `RandomSite`
 * (masking, initialisation, …) and, for dropout, numbered by the model from `RandomSite.dropout` up.
 */
export interface RandomKey {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
  readonly site: number;
}

/** Where randomness is used: no two uses may share a site. */
export const RandomSite = {
  initialise: 0,
  shuffle: 1,
  corrupt: 2,
  split: 3,
  sample: 4,
  /** Dropout layers are numbered upward from here, in the order in which the forward meets them. */
  dropout: 16,
} as const;

/** The words of one random field, by element index: word i is word i % 4 of the block i / 4. */
export class RandomField {
  private readonly block = new Uint32Array(4);
  private blockIndex = -1;
  private readonly key0: number;
  private readonly key1: number;

  constructor(private readonly key: RandomKey) {
    this.key0 = key.seed >>> 0;
    this.key1 = Math.floor(key.seed / 2 ** 32) >>> 0;
  }

  /** Uniform uint32 of element `index` (0 ≤ index < 2^34). */
  word(index: number): number {
    const blockIndex = Math.floor(index / 4);
    if (blockIndex !== this.blockIndex) {
      const { site, microBatch, step } = this.key;
      philox(this.block, this.key0, this.key1, blockIndex, site, microBatch, step);
      this.blockIndex = blockIndex;
    }
    return this.block[index % 4]!;
  }

  /** Uniform in [0, 1) with 24 bits. */
  uniform(index: number): number {
    return (this.word(index) >>> 8) * 2 ** -24;
  }

  /** Uniform integer in [0, bound), bound ≤ 2^32 (bias below 2^-32 · bound: by multiplication, not modulo). */
  integer(index: number, bound: number): number {
    return multiplyHigh(this.word(index), bound >>> 0);
  }
}
