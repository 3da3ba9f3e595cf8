// A Transformer as fill.ts sees it: the source is encoded once, then beginnings of its target are continued and
// whole targets scored. Texts are short and prefixes branch, so every call decodes from the start, uncached.

import * as tf from '@tensorflow/tfjs';
import type { TargetModel } from './fill.js';
import { padRows } from './pad.js';
import { inScope } from './scope.js';
import { scoreTargets } from './score.js';
import type { Transformer } from './transformer.js';

// N prefixes or targets, S source tokens, T target tokens, d width, V vocabulary.

export class TransformerTarget implements TargetModel {
  private readonly memory: tf.Tensor; // [1, S, d]
  private readonly sourceLength: number;

  /** `source` ends with the end token. */
  constructor(
    private readonly transformer: Transformer,
    source: ArrayLike<number>,
  ) {
    this.sourceLength = source.length;
    this.memory = tf.tidy(() => {
      const { ids, lengths } = padRows([source], transformer.config.padId);
      return transformer.encode(ids, lengths, null);
    });
  }

  get vocabularySize(): number {
    return this.transformer.config.vocabularySize;
  }

  next(prefixes: readonly (readonly number[])[]): Float32Array {
    const { padId, startId, width } = this.transformer.config;
    return inScope(() => {
      const { ids } = padRows(
        prefixes.map((prefix) => [startId, ...prefix]),
        padId,
      );
      const { memory, lengths } = this.repeated(prefixes.length);
      const hidden = this.transformer.decode(ids, memory, lengths, null); // [N, T, d]
      const last = hidden.slice([0, ids.shape[1] - 1, 0], [-1, 1, width]); // [N, 1, d]
      return this.transformer.logits(last).dataSync<'float32'>(); // [N, 1, V]
    });
  }

  logProbabilities(targets: readonly (readonly number[])[], from: number): Float64Array[] {
    return inScope(() => {
      const { memory, lengths } = this.repeated(targets.length);
      return scoreTargets(this.transformer, memory, lengths, targets, from);
    });
  }

  dispose(): void {
    this.memory.dispose();
  }

  /** The encoded source once per row: memory [N, S, d], lengths [N]. */
  private repeated(rows: number): { memory: tf.Tensor; lengths: tf.Tensor } {
    return {
      memory: tf.tile(this.memory, [rows, 1, 1]),
      lengths: tf.fill([rows], this.sourceLength, 'int32'),
    };
  }
}
