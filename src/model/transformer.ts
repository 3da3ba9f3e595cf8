// The encoder-decoder Transformer of "Attention Is All You Need", written once against tfjs and the fused
// kernels of engine/ops.ts. Its mathematics is that of Hugging Face's MarianMTModel (`norm: post`) and
// PegasusForConditionalGeneration (`norm: pre`). Training (`loss`) and use (`encode`, `decodeStep`) share it.

import * as tf from '@tensorflow/tfjs';
import type { Dropout, DropoutKey } from '../engine/kernels.js';
import { crossAttention, crossEntropy, embedding, lastLinear, linear, selfAttention } from '../engine/ops.js';
import { UserError } from '../util/errors.js';
import { RandomSite } from '../util/philox.js';
import type { Batch } from './batch.js';
import { DecoderCache } from './cache.js';
import type { ModelConfig } from './config.js';
import { DropoutSites } from './dropout.js';
import {
  decoderLayers,
  encoderLayers,
  feedForward,
  ResidualPath,
  stackNorms,
  type DecoderLayer,
  type EncoderLayer,
  type Linear,
  type Norm,
} from './layers.js';
import {
  FINAL_BIAS,
  positionsName,
  SHARED_EMBEDDING,
  type ModelParameters,
  type Stack,
} from './parameters.js';
import { sinusoidalPositions } from './positions.js';

// Shapes:
//   B samples of a micro-batch   S, T tokens of the longest source and target   V vocabulary
//   d width                      R target positions that carry loss
// Tensors of ids and lengths are int32, all others float32.

export interface LossOptions {
  /** Label smoothing, 0 to 1, as PyTorch's cross_entropy defines it. */
  readonly smoothing: number;
  /** What dropout is keyed by; null: no dropout (evaluation). */
  readonly random: DropoutKey | null;
}

export interface Loss {
  /** Sum of the cross-entropies over the rows that carry loss, in nats. */
  readonly loss: tf.Scalar;
  /** How many of them have their label as the most probable token. */
  readonly correct: tf.Scalar;
}

interface StackParameters {
  readonly norms: readonly Norm[];
  readonly positions: tf.Tensor; // [maxLength, d]
}

/** A model over parameters that it does not own: what is written to them is seen by the next call. */
export class Transformer {
  private readonly table: tf.Tensor; // [V, d]
  private readonly finalBias: tf.Tensor; // [V]
  private readonly encoder: StackParameters & { readonly layers: readonly EncoderLayer[] };
  private readonly decoder: StackParameters & { readonly layers: readonly DecoderLayer[] };
  /** Positions of a Marian model, which no checkpoint stores. */
  private readonly computedPositions: tf.Tensor | null;

  constructor(
    readonly config: ModelConfig,
    parameters: ModelParameters,
  ) {
    const { maxLength, width, norm } = config;
    const computed =
      norm === 'post'
        ? tf.keep(tf.tensor2d(sinusoidalPositions(maxLength, width), [maxLength, width]))
        : null;
    const stack = (name: Stack): StackParameters => ({
      norms: stackNorms(parameters, config, name),
      positions: computed ?? parameters.view(positionsName(name)),
    });
    this.computedPositions = computed;
    this.table = parameters.view(SHARED_EMBEDDING);
    this.finalBias = parameters.view(FINAL_BIAS);
    this.encoder = { ...stack('encoder'), layers: encoderLayers(parameters, config) };
    this.decoder = { ...stack('decoder'), layers: decoderLayers(parameters, config) };
  }

  /** source [B, S], lengths [B] -> [B, S, d]; what stands at and beyond a row's length has no meaning. */
  encode(source: tf.Tensor2D, lengths: tf.Tensor, random: DropoutKey | null): tf.Tensor3D {
    return tf.tidy(() => {
      const dropouts = new DropoutSites(random, this.config.dropout, RandomSite.dropout);
      const path = this.enter(this.encoder, source, 0, dropouts);
      for (const layer of this.encoder.layers) {
        const qkv = apply(layer.selfQkv, path.hidden); // [B, S, 3d]
        const context = selfAttention(qkv, lengths, this.config.heads, false); // [B, S, d]
        path.add(apply(layer.selfOut, context));
        path.add(feedForward(path.hidden, layer, this.config.activation));
      }
      return path.hidden as tf.Tensor3D;
    });
  }

  /**
   * input [B, T] (the start token, then the target shifted right; padding only at the end), memory [B, S, d] from
   * `encode`, sourceLengths [B] -> [B, T, d], after the last norm.
   */
  decode(
    input: tf.Tensor2D,
    memory: tf.Tensor,
    sourceLengths: tf.Tensor,
    random: DropoutKey | null,
  ): tf.Tensor3D {
    return tf.tidy(() => {
      const dropouts = new DropoutSites(random, this.config.dropout, this.firstDecoderSite());
      const path = this.enter(this.decoder, input, 0, dropouts);
      const [batch, length] = input.shape;
      // A causal mask alone hides the padding from every position before it.
      const lengths = tf.fill([batch], length, 'int32'); // [B]
      for (const layer of this.decoder.layers) {
        const qkv = apply(layer.selfQkv, path.hidden); // [B, T, 3d]
        const context = selfAttention(qkv, lengths, this.config.heads, true); // [B, T, d]
        path.add(apply(layer.selfOut, context));
        const keyValues = apply(layer.crossKv, memory); // [B, S, 2d]
        path.add(this.attendSource(layer, path.hidden, keyValues, sourceLengths));
        path.add(feedForward(path.hidden, layer, this.config.activation));
      }
      return path.normed as tf.Tensor3D;
    });
  }

  /** The summed loss of a micro-batch and the number of right predictions. */
  loss(batch: Batch, options: LossOptions): Loss {
    return tf.tidy(() => {
      const { samples, sourceLength, targetLength } = batch;
      const source = tf.tensor2d(batch.source, [samples, sourceLength], 'int32');
      const input = tf.tensor2d(batch.decoderInput, [samples, targetLength], 'int32');
      const sourceLengths = tf.tensor1d(batch.sourceLengths, 'int32');
      const memory = this.encode(source, sourceLengths, options.random); // [B, S, d]
      const hidden = this.decode(input, memory, sourceLengths, options.random); // [B, T, d]
      const rows = tf.tensor1d(batch.lossRows, 'int32'); // [R]
      const labels = tf.tensor1d(batch.labels, 'int32'); // [R]
      const { loss, correct } = crossEntropy(
        hidden,
        this.table,
        this.finalBias,
        rows,
        labels,
        options.smoothing,
      );
      return { loss, correct };
    });
  }

  /** hidden [..., d] -> [..., V]: the product with the tied embeddings, and the constant bias. */
  logits(hidden: tf.Tensor): tf.Tensor {
    return lastLinear(hidden, this.table, this.finalBias);
  }

  /** An empty cache for `decodeStep`: the sources' keys and values, memory [B, S, d], sourceLengths [B]. */
  startCache(memory: tf.Tensor, sourceLengths: tf.Tensor): DecoderCache {
    const cross = this.decoder.layers.map((layer) => apply(layer.crossKv, memory)); // [B, S, 2d] each
    return new DecoderCache(cross, sourceLengths.clone());
  }

  /**
   * `decode` for one position, the one after the cache's: tokens [B, 1] -> [B, 1, d]. The cache grows by it.
   */
  decodeStep(tokens: tf.Tensor2D, cache: DecoderCache): tf.Tensor3D {
    const position = cache.length;
    const { width, heads, activation } = this.config;
    return tf.tidy(() => {
      const path = this.enter(this.decoder, tokens, position, new DropoutSites(null, 0, 0));
      const lengths = tf.fill([cache.rows], position + 1, 'int32'); // [B]
      this.decoder.layers.forEach((layer, index) => {
        const [q, kv] = tf.split(apply(layer.selfQkv, path.hidden), [width, 2 * width], 2); // [B, 1, d], [B, 1, 2d]
        const context = crossAttention(q!, cache.append(index, kv!), lengths, heads); // [B, 1, d]
        path.add(apply(layer.selfOut, context));
        path.add(this.attendSource(layer, path.hidden, cache.crossKeyValues(index), cache.sourceLengths));
        path.add(feedForward(path.hidden, layer, activation));
      });
      cache.length = position + 1;
      return path.normed as tf.Tensor3D;
    });
  }

  /** Frees what the model itself made; parameters are their owner's. */
  dispose(): void {
    this.computedPositions?.dispose();
  }

  /** ids [B, T], which stand at positions `first` and on -> the residual path of a stack. */
  private enter(
    stack: StackParameters,
    ids: tf.Tensor2D,
    first: number,
    dropouts: DropoutSites,
  ): ResidualPath {
    const { maxLength, width, norm, padId } = this.config;
    const length = first + ids.shape[1];
    if (length > maxLength) {
      throw new UserError(
        'SEQUENCE_TOO_LONG',
        `a sequence of ${length} tokens; the model takes at most ${maxLength} (model.maxLength)`,
      );
    }
    const dropout: Dropout = dropouts.next();
    const scale = Math.sqrt(width);
    // Like PyTorch's nn.Embedding, hence Hugging Face's models. Padding never reaches the loss, so this matters only where
    // the decoder starts from the padding token, as Marian's does: that row is trained by the output product alone.
    const options = { scale, first, padding: padId, dropout };
    const embedded = embedding(this.table, stack.positions, ids, options); // [B, T, d]
    return new ResidualPath(embedded, stack.norms, norm, dropouts);
  }

  /** hidden [B, T, d] asks the source's keyValues [B, S, 2d] -> [B, T, d]. */
  private attendSource(
    layer: DecoderLayer,
    hidden: tf.Tensor,
    keyValues: tf.Tensor,
    sourceLengths: tf.Tensor,
  ): tf.Tensor {
    const q = apply(layer.crossQ, hidden); // [B, T, d]
    const context = crossAttention(q, keyValues, sourceLengths, this.config.heads); // [B, T, d]
    return apply(layer.crossOut, context);
  }

  /** The encoder drops its embeddings and two sub-layers' outputs a layer. */
  private firstDecoderSite(): number {
    return RandomSite.dropout + 1 + 2 * this.config.encoderLayers;
  }
}

/** x [..., in] -> [..., out]. */
function apply(layer: Linear, x: tf.Tensor): tf.Tensor {
  return linear(x, layer.weight, layer.bias);
}
