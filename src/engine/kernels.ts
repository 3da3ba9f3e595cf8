// The names and attributes of the fused kernels: what an engine (a tfjs backend) registers, and what the ops
// run. Every backward pass is a kernel of its own, because tfjs registers gradients per kernel, not per backend. It is
// given the parameters themselves too, also where it needs no value of them: an engine may know where their gradients belong.
// An output that only the gradient uses (logSum, stats, dLogits) is named after what the native engine keeps there;
// another engine may keep something else.
import * as tf from '@tensorflow/tfjs';
import type { Activation } from '../model/config.js';
import type { RandomKey } from '../util/philox.js';

export const Kernel = {
  /** {x, w, b} -> y. */
  linear: 'LockstepLinear',
  /** {dy, x, w, b} -> [dx, dw, db]. */
  linearGradient: 'LockstepLinearGradient',
  /** {x, w1, b1, w2, b2} -> [y, hidden, z], hidden = activation(z); without z for relu, and y alone where no gradient is wanted. */
  feedForward: 'LockstepFeedForward',
  /** {dy, x, w1, b1, w2, b2, hidden, z?} -> [dx, dw1, db1, dw2, db2]. */
  feedForwardGradient: 'LockstepFeedForwardGradient',
  /** {qkv, lengths} -> [out, logSum]. */
  selfAttention: 'LockstepSelfAttention',
  /** {dy, qkv, lengths, out, logSum} -> dQkv. */
  selfAttentionGradient: 'LockstepSelfAttentionGradient',
  /** {q, kv, lengths} -> [out, logSum]. */
  crossAttention: 'LockstepCrossAttention',
  /** {dy, q, kv, lengths, out, logSum} -> [dq, dkv]. */
  crossAttentionGradient: 'LockstepCrossAttentionGradient',
  /** {residual, x, gamma, beta} -> [sum, normed, operand, stats]; `operand` is normed once more, for products. */
  addDropoutNorm: 'LockstepAddDropoutNorm',
  /**
   * {dy?, dOperand?, dSum?, sum, gamma, beta, stats} -> [dResidual, dx, dGamma, dBeta], with dy or dOperand; without dropout
   * dResidual may share dx's memory.
   */
  addDropoutNormGradient: 'LockstepAddDropoutNormGradient',
  /** {x, gamma, beta} -> [normed, stats]. */
  layerNorm: 'LockstepLayerNorm',
  /** {dy, x, gamma, beta, stats} -> [dx, dGamma, dBeta]. */
  layerNormGradient: 'LockstepLayerNormGradient',
  /** {table, positions, ids} -> out. */
  embedding: 'LockstepEmbedding',
  /** {dy, table, ids} -> dTable. */
  embeddingGradient: 'LockstepEmbeddingGradient',
  /** {hidden, table, bias, lossRows, labels} -> [loss, correct, dLogits]; dLogits in a form of the engine's own. */
  crossEntropy: 'LockstepCrossEntropy',
  /** The same without dLogits, for evaluation: [loss, correct]. It has no gradient. */
  crossEntropyValue: 'LockstepCrossEntropyValue',
  /** {dy, dLogits, hidden, table, lossRows, labels} -> [dHidden, dTable]. */
  crossEntropyGradient: 'LockstepCrossEntropyGradient',
} as const;

/** What the dropout of one micro-batch is keyed by; each layer that drops has a site of its own beside it. */
export type DropoutKey = Omit<RandomKey, 'site'>;

/** Dropout of a layer: null is none, as in evaluation. */
export type Dropout = DropoutAttrs | null;

/** Attributes, as `type` and not `interface` because tfjs wants them to have an index signature. */
export type DropoutAttrs = { readonly rate: number; readonly site: number; readonly key: DropoutKey };
export const NO_DROPOUT: DropoutAttrs = { rate: 0, site: 0, key: { seed: 0, step: 0, microBatch: 0 } };
/** `isLast`: the result goes into no other product, and is not rounded for one. */
export type LinearAttrs = { isLast?: boolean };
/** Without a tape nothing is kept for a gradient. */
export type FeedForwardAttrs = { activation: Activation; hasTape: boolean };
export type AttentionAttrs = { heads: number; causal: boolean };
export type NormAttrs = { epsilon: number; dropout: DropoutAttrs };
export type EmbeddingAttrs = { scale: number; first: number; padding: number; dropout: DropoutAttrs };
/** As an embedding's `padding`: every id has a gradient. */
export const NO_PADDING = -1;
export type CrossEntropyAttrs = { smoothing: number };

/** A kernel's tensors by name. tfjs types them as perhaps missing: the ops have checked that they are there. */
export type Inputs = Readonly<Record<string, tf.TensorInfo>>;

/** Runs a kernel on the backend in force. */
export function runKernel<T extends tf.Tensor | tf.Tensor[]>(
  name: string,
  inputs: Record<string, tf.Tensor>,
  attrs: NonNullable<Parameters<ReturnType<typeof tf.engine>['runKernel']>[2]>,
): T {
  return tf.engine().runKernel<T>(name, inputs, attrs);
}
