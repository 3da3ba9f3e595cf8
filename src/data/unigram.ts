// The unigram baseline: how well the next token is predicted by how often each token occurs in training, and nothing
// else. A model that does no better has learned nothing of the text.

/** Counts of each token in both parts. */
export class UnigramCounts {
  private readonly train: Float64Array;
  private readonly validation: Float64Array;

  constructor(vocabularySize: number) {
    this.train = new Float64Array(vocabularySize);
    this.validation = new Float64Array(vocabularySize);
  }

  add(split: 'train' | 'validation', ids: ArrayLike<number>): void {
    const counts = this[split];
    for (let i = 0; i < ids.length; i++) counts[ids[i]!]!++;
  }

  /**
   * Mean of −ln p over the validation tokens, p(t) = (training count of t + 1) / (training tokens + vocabulary), in
   * nats per token. Null without a validation token.
   */
  nats(): number | null {
    const sum = (counts: Float64Array): number => counts.reduce((total, count) => total + count, 0);
    const trained = sum(this.train) + this.train.length;
    const validated = sum(this.validation);
    if (validated === 0) return null;
    let total = 0;
    for (let id = 0; id < this.train.length; id++) {
      if (this.validation[id]! > 0) total -= this.validation[id]! * Math.log((this.train[id]! + 1) / trained);
    }
    return total / validated;
  }
}
