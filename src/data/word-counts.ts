// Counts of distinct words, bounded: natural text has more words than memory has room for if one only reads enough.

const MAX_WORDS = 2_000_000;

export class WordCounts {
  private readonly counts = new Map<string, number>();
  /** Words seen this often or less were dropped at the last pruning. */
  private floor = 0;

  constructor(private readonly maxWords = MAX_WORDS) {}

  /**
   * Adds counts. Beyond `maxWords` distinct words the rarest are forgotten, until at most half as many are left; what is
   * forgotten depends only on the counts and the order of the calls.
   */
  merge(words: ReadonlyMap<string, number>): void {
    for (const [word, count] of words) this.counts.set(word, (this.counts.get(word) ?? 0) + count);
    while (this.counts.size > this.maxWords) this.prune();
  }

  get size(): number {
    return this.counts.size;
  }

  entries(): Iterable<readonly [word: string, count: number]> {
    return this.counts;
  }

  private prune(): void {
    while (this.counts.size > this.maxWords / 2) {
      this.floor++;
      for (const [word, count] of this.counts) if (count <= this.floor) this.counts.delete(word);
    }
  }
}
