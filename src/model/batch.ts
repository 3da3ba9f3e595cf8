// A micro-batch as the model takes it. B samples; S and T are the longest source and target in it.

export interface Batch {
  readonly samples: number; // B
  readonly sourceLength: number; // S
  readonly targetLength: number; // T
  /** Encoder input ids, padded at the end. Every row has at least one token. */
  readonly source: Int32Array; // [B, S]
  readonly sourceLengths: Int32Array; // [B]
  /** The start token, then the target shifted right by one, padded at the end. */
  readonly decoderInput: Int32Array; // [B, T]
  readonly targetLengths: Int32Array; // [B]
  /** Positions of the target that carry loss, ascending, as indices into B * T. */
  readonly lossRows: Int32Array; // [R]
  /** The token to be predicted at each of them. */
  readonly labels: Int32Array; // [R]
}

const arrays = ['source', 'sourceLengths', 'decoderInput', 'targetLengths', 'lossRows', 'labels'] as const;

/** Whether two batches have the same shape: their arrays the same lengths, and the same dimensions. */
export function areAlike(a: Batch, b: Batch): boolean {
  const { samples, sourceLength, targetLength } = a;
  return (
    b.samples === samples &&
    b.sourceLength === sourceLength &&
    b.targetLength === targetLength &&
    arrays.every((name) => a[name].length === b[name].length)
  );
}

/** A batch in memory of its own. */
export function copyOf(batch: Batch): Batch {
  return { ...batch, ...Object.fromEntries(arrays.map((name) => [name, batch[name].slice()])) };
}

/** Gives a batch the content of another of its shape. */
export function setBatch(to: Batch, from: Batch): void {
  for (const name of arrays) to[name].set(from[name]);
}

/** What a sample is before an objective makes a batch of it: one sequence (text), or source and target. */
export type Sample = readonly Int32Array[];
