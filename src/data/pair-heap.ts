// A binary heap of symbol pairs, the most frequent on top. Entries keep the count they were pushed with: the
// caller compares it with the true one when an entry comes up.

export interface HeapEntry {
  readonly pair: number;
  readonly count: number;
}

/** Order: larger count, then smaller left symbol, then smaller right symbol. */
export class PairHeap {
  private readonly pairs: number[] = [];
  private readonly counts: number[] = [];

  constructor(
    private readonly left: readonly number[],
    private readonly right: readonly number[],
  ) {}

  push(pair: number, count: number): void {
    let at = this.pairs.length;
    this.pairs.push(pair);
    this.counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.before(at, parent)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  /** The first entry, or null when there is none. */
  pop(): HeapEntry | null {
    if (this.pairs.length === 0) return null;
    this.swap(0, this.pairs.length - 1);
    const entry = { pair: this.pairs.pop()!, count: this.counts.pop()! };
    this.sink();
    return entry;
  }

  private sink(): void {
    const size = this.pairs.length;
    let at = 0;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < size && this.before(child, first)) first = child;
      if (first === at) return;
      this.swap(at, first);
      at = first;
    }
  }

  private before(a: number, b: number): boolean {
    if (this.counts[a] !== this.counts[b]) return this.counts[a]! > this.counts[b]!;
    const pairA = this.pairs[a]!;
    const pairB = this.pairs[b]!;
    if (this.left[pairA] !== this.left[pairB]) return this.left[pairA]! < this.left[pairB]!;
    return this.right[pairA]! < this.right[pairB]!;
  }

  private swap(a: number, b: number): void {
    const pair = this.pairs[a]!;
    this.pairs[a] = this.pairs[b]!;
    this.pairs[b] = pair;
    const count = this.counts[a]!;
    this.counts[a] = this.counts[b]!;
    this.counts[b] = count;
  }
}
