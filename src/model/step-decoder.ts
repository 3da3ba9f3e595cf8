// What generation and beam search ask of a model: one token per row in, one row of logits out. They never see
// a tensor, so they can be tested on a distribution written by hand.

export interface StepDecoder {
  /** Sequences being decoded now; one per source at the start. */
  readonly rows: number;
  readonly vocabularySize: number; // V
  /** Feeds one token per row at the next position. The logits [rows, V] may be overwritten by the caller. */
  step(tokens: Int32Array): Float32Array;
  /** Row i becomes a copy of the old row `order[i]`; rows not named are dropped, and a row may be named twice. */
  reorder(order: readonly number[]): void;
  dispose(): void;
}

/** The logits of one row, as a view. */
export function rowOf(logits: Float32Array, row: number, width: number): Float32Array {
  return logits.subarray(row * width, (row + 1) * width);
}

/** Makes tokens impossible. */
export function suppress(logits: Float32Array, ids: readonly number[]): void {
  for (const id of ids) logits[id] = -Infinity;
}
