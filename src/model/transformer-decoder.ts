// A Transformer behind the interface of step-decoder.ts: encodes the sources once, then decodes all rows one
// position at a time with the key/value cache.

import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import type { DecoderCache } from './cache.js';
import { padRows } from './pad.js';
import { inScope } from './scope.js';
import type { StepDecoder } from './step-decoder.js';
import type { Transformer } from './transformer.js';

export class TransformerDecoder implements StepDecoder {
  private readonly cache: DecoderCache;

  /** One row per source; a source ends with the end token and is not empty. */
  constructor(
    private readonly transformer: Transformer,
    sources: readonly Int32Array[],
  ) {
    // The cache keeps what it needs.
    this.cache = inScope(() => {
      const { ids, lengths } = padRows(sources, transformer.config.padId);
      const memory = transformer.encode(ids, lengths, null); // [B, S, d]
      return transformer.startCache(memory, lengths);
    });
  }

  get rows(): number {
    return this.cache.rows;
  }

  get vocabularySize(): number {
    return this.transformer.config.vocabularySize;
  }

  step(tokens: Int32Array): Float32Array {
    assert(tokens.length === this.rows, `one token for each of ${this.rows} rows, got ${tokens.length}`);
    return inScope(() => {
      const input = tf.tensor2d(tokens, [tokens.length, 1], 'int32');
      const hidden = this.transformer.decodeStep(input, this.cache); // [B, 1, d]
      return this.transformer.logits(hidden).dataSync<'float32'>(); // [B, 1, V]
    });
  }

  reorder(order: readonly number[]): void {
    this.cache.reorder(order);
  }

  dispose(): void {
    this.cache.dispose();
  }
}
