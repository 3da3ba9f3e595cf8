// What decoding one position at a time keeps: per decoder layer the keys and values of the positions so far, and
// those of the encoder's result, which are computed once.

import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';

// B rows (beams count as rows), S source tokens, t positions so far, d width. Keys and values are packed k|v.

/** The key/value cache of Transformer.decodeStep. Its tensors outlive any tf.tidy: dispose it. */
export class DecoderCache {
  /** Positions decoded so far. */
  length = 0;
  private readonly self: (tf.Tensor | null)[]; // per layer [B, t, 2d]
  /** The row of the first cache that each row's source comes from: cross keys and values move only if it changes. */
  private sources: Int32Array;

  /** Takes over `cross`, [B, S, 2d] per layer, and `sourceLengths`, [B]. */
  constructor(
    private readonly cross: tf.Tensor[],
    private lengths: tf.Tensor,
  ) {
    for (const tensor of [...cross, lengths]) tf.keep(tensor);
    this.self = cross.map(() => null);
    this.sources = Int32Array.from({ length: lengths.size }, (_, row) => row);
  }

  /** B. */
  get rows(): number {
    return this.sources.length;
  }

  get sourceLengths(): tf.Tensor {
    return this.lengths;
  }

  /** Keys and values of the source, [B, S, 2d]. */
  crossKeyValues(layer: number): tf.Tensor {
    const tensor = this.cross[layer];
    assert(tensor, `decoder layer ${layer} is in the cache`);
    return tensor;
  }

  /** Adds a position's keys and values, [B, 1, 2d], and returns those of all positions, [B, t + 1, 2d]. */
  append(layer: number, keyValues: tf.Tensor): tf.Tensor {
    const before = this.self[layer];
    const all = tf.keep(before ? tf.concat([before, keyValues], 1) : keyValues.clone());
    before?.dispose();
    this.self[layer] = all;
    return all;
  }

  /**
   * Makes row i what row `rows[i]` was, as a beam search does when it chooses which hypotheses live on; the number
   * of rows may change. To search with K beams, start from B rows and reorder to [0 × K, 1 × K, …].
   */
  reorder(rows: ArrayLike<number>): void {
    const order = Int32Array.from(rows);
    const sources = order.map((row) => {
      const source = this.sources[row];
      assert(source !== undefined, `row ${row} of a cache of ${this.rows}`);
      return source;
    });
    const moved = sources.length !== this.rows || sources.some((source, row) => source !== this.sources[row]);
    this.sources = sources;
    const index = tf.tensor1d(order, 'int32');
    const gather = (tensor: tf.Tensor) => {
      const gathered = tf.keep(tf.gather(tensor, index));
      tensor.dispose();
      return gathered;
    };
    this.self.forEach((tensor, layer) => (this.self[layer] = tensor && gather(tensor)));
    if (moved) {
      this.cross.forEach((tensor, layer) => (this.cross[layer] = gather(tensor)));
      this.lengths = gather(this.lengths);
    }
    index.dispose();
  }

  dispose(): void {
    for (const tensor of [...this.self, ...this.cross, this.lengths]) tensor?.dispose();
  }
}
