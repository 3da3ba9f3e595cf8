// Training of byte-pair encoding (Sennrich, Haddow & Birch 2016) on counted words: the most frequent pair of
// adjacent symbols becomes a symbol, again and again. Deterministic: the result does not depend on the order of the words.

import { assert } from '../util/errors.js';
import { BYTE_ORDER } from './byte-level.js';
import { PairHeap } from './pair-heap.js';

/** Symbols 0..255 are the bytes in BYTE_ORDER; merge number i makes symbol 256 + i of [left, right]. */
export type Merge = readonly [left: number, right: number];

export interface BpeOptions {
  /** Merges wanted; fewer come back when no pair is frequent enough. */
  readonly merges: number;
  /** A pair seen less often is never merged. */
  readonly minimumCount: number;
  /** Called, and waited for, after every few hundred merges. */
  readonly onProgress?: (merges: number) => Promise<void>;
}

/** Bytes and merges: two of them are a pair's key. */
const MAX_SYMBOLS = 2 ** 21;
export const MAX_MERGES = MAX_SYMBOLS - 256;
const NONE = -1;
const PROGRESS_EVERY = 256;

/**
 * Merges in the order in which they are learned. Of pairs with equal counts the one with the smaller left symbol
 * comes first, then the smaller right one (the order of Hugging Face's trainer, whose merges these equal). No two merges
 * spell the same token: wherever that token's text is not crossed by another, it has been merged in the same way.
 */
export async function trainBpe(
  words: Iterable<readonly [word: string, count: number]>,
  options: BpeOptions,
): Promise<Merge[]> {
  assert(options.merges <= MAX_MERGES, `${options.merges} merges`);
  const corpus = new SymbolCorpus(words);
  const pairs = new PairTable(corpus);
  const heap = new PairHeap(pairs.left, pairs.right);
  const pushFrom = (first: number): void => {
    for (let pair = first; pair < pairs.size; pair++) {
      if (pairs.count[pair]! >= options.minimumCount) heap.push(pair, pairs.count[pair]!);
      // Counts only fall once the merge that made a pair is over, so this one never comes up.
      else pairs.forget(pair);
    }
  };
  pushFrom(0);
  const merges: Merge[] = [];
  while (merges.length < options.merges) {
    const top = heap.pop();
    if (top === null) break;
    const count = pairs.count[top.pair]!;
    if (count < top.count) {
      // The count fell since this entry was made: back in line with the true one.
      if (count >= options.minimumCount) heap.push(top.pair, count);
      continue;
    }
    const firstNew = pairs.size;
    mergePair(corpus, pairs, top.pair, 256 + merges.length);
    pushFrom(firstNew);
    merges.push([pairs.left[top.pair]!, pairs.right[top.pair]!]);
    if (merges.length % PROGRESS_EVERY === 0) await options.onProgress?.(merges.length);
  }
  return merges;
}

/** Replaces every occurrence of a pair by `merged`, from left to right, and keeps the counts of its neighbours. */
function mergePair(corpus: SymbolCorpus, pairs: PairTable, pair: number, merged: number): void {
  const { symbols, next, previous } = corpus;
  const left = pairs.left[pair]!;
  const right = pairs.right[pair]!;
  const positions = pairs.positions[pair]!;
  pairs.forget(pair);
  for (const at of positions) {
    const second = next[at]!;
    // An earlier merge may have taken one of the two.
    if (symbols[at] !== left || second === NONE || symbols[second] !== right) continue;
    const count = corpus.countAt(at);
    const before = previous[at]!;
    const after = next[second]!;
    if (before !== NONE) {
      pairs.subtract(symbols[before]!, left, count);
      pairs.add(symbols[before]!, merged, before, count);
    }
    if (after !== NONE) {
      pairs.subtract(right, symbols[after]!, count);
      pairs.add(merged, symbols[after]!, at, count);
      previous[after] = at;
    }
    symbols[at] = merged;
    symbols[second] = NONE;
    next[at] = after;
  }
}

/** All distinct words as symbols, one after the other, each a doubly linked list. */
class SymbolCorpus {
  readonly symbols: Int32Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
  private readonly word: Int32Array;
  private readonly counts: Float64Array;

  constructor(words: Iterable<readonly [string, number]>) {
    const encoded: Uint8Array[] = [];
    const counts: number[] = [];
    let length = 0;
    for (const [word, count] of words) {
      const bytes = Buffer.from(word, 'utf8');
      encoded.push(bytes);
      counts.push(count);
      length += bytes.length;
    }
    assert(length < 2 ** 31, `${length} bytes of distinct words`);
    this.counts = Float64Array.from(counts);
    this.symbols = new Int32Array(length);
    this.next = new Int32Array(length);
    this.previous = new Int32Array(length);
    this.word = new Int32Array(length);
    let at = 0;
    for (const [index, bytes] of encoded.entries()) {
      for (let i = 0; i < bytes.length; i++, at++) {
        this.symbols[at] = RANK_OF_BYTE[bytes[i]!]!;
        this.previous[at] = i === 0 ? NONE : at - 1;
        this.next[at] = i === bytes.length - 1 ? NONE : at + 1;
        this.word[at] = index;
      }
    }
  }

  /** How often the word at a position occurs. */
  countAt(at: number): number {
    return this.counts[this.word[at]!]!;
  }
}

const RANK_OF_BYTE = new Uint8Array(256);
for (const [rank, byte] of BYTE_ORDER.entries()) RANK_OF_BYTE[byte] = rank;

/** Every pair of adjacent symbols ever seen: its exact count, and where it occurs (with positions that no longer hold). */
class PairTable {
  readonly left: number[] = [];
  readonly right: number[] = [];
  readonly count: number[] = [];
  /** Of each pair the positions of its left symbol, ascending. */
  readonly positions: number[][] = [];
  private readonly pairs = new Map<number, number>();

  constructor(corpus: SymbolCorpus) {
    const { symbols, next } = corpus;
    for (let at = 0; at < symbols.length; at++) {
      const second = next[at]!;
      if (second !== NONE) this.add(symbols[at]!, symbols[second]!, at, corpus.countAt(at));
    }
  }

  get size(): number {
    return this.left.length;
  }

  add(left: number, right: number, at: number, count: number): void {
    const key = left * MAX_SYMBOLS + right;
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = this.left.push(left) - 1;
      this.right.push(right);
      this.count.push(0);
      this.positions.push([]);
      this.pairs.set(key, pair);
    }
    this.count[pair]! += count;
    this.positions[pair]!.push(at);
  }

  /** Does nothing for a forgotten pair. */
  subtract(left: number, right: number, count: number): void {
    const pair = this.pairs.get(left * MAX_SYMBOLS + right);
    if (pair !== undefined) this.count[pair]! -= count;
  }

  /** Frees what belongs to a pair that was merged or never will be. */
  forget(pair: number): void {
    this.pairs.delete(this.left[pair]! * MAX_SYMBOLS + this.right[pair]!);
    this.positions[pair] = [];
  }
}
