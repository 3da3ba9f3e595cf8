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

/** What a sample is before an objective makes a batch of it: one sequence (text), or source and target. */
export type Sample = readonly Int32Array[];
