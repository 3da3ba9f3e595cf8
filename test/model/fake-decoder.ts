// A step decoder over a distribution written by hand: the logits are a function of the row's source and of the
// tokens fed so far. Only for tests.

import type { StepDecoder } from '../../src/model/step-decoder.js';

export type Distribution = (source: number, prefix: readonly number[]) => readonly number[];

export class FakeDecoder implements StepDecoder {
  steps = 0;
  /** Rows at each step, to see sequences leave the batch. */
  readonly rowsSeen: number[] = [];
  private state: { source: number; prefix: number[] }[];

  constructor(
    sources: number,
    readonly vocabularySize: number,
    /** Probabilities of the next token; `prefix` begins with the start token. */
    private readonly distribution: Distribution,
  ) {
    this.state = Array.from({ length: sources }, (_, source) => ({ source, prefix: [] }));
  }

  get rows(): number {
    return this.state.length;
  }

  step(tokens: Int32Array): Float32Array {
    if (tokens.length !== this.rows) throw new Error(`${tokens.length} tokens for ${this.rows} rows`);
    this.steps++;
    this.rowsSeen.push(this.rows);
    const logits = new Float32Array(this.rows * this.vocabularySize);
    this.state.forEach((row, i) => {
      row.prefix.push(tokens[i]!);
      const probabilities = this.distribution(row.source, row.prefix);
      logits.set(probabilities.map(Math.log), i * this.vocabularySize);
    });
    return logits;
  }

  reorder(order: readonly number[]): void {
    this.state = order.map((row) => {
      const { source, prefix } = this.state[row]!;
      return { source, prefix: [...prefix] };
    });
  }

  dispose(): void {
    this.state = [];
  }
}
