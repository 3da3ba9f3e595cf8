// The parameters of each layer, found once by name, and the residual path on which sub-layers act.

import type * as tf from '@tensorflow/tfjs';
import * as ops from '../engine/ops.js';
import { assert } from '../util/errors.js';
import type { Activation, ModelConfig, NormPlacement } from './config.js';
import type { DropoutSites } from './dropout.js';
import { layerName, type ModelParameters, type Stack } from './parameters.js';

// B samples, T tokens, d width, F width of the feed-forward.

export interface Linear {
  readonly weight: tf.Tensor; // [out, in]
  readonly bias: tf.Tensor; // [out]
}

export interface Norm {
  readonly gamma: tf.Tensor; // [d]
  readonly beta: tf.Tensor; // [d]
}

export interface EncoderLayer {
  readonly selfQkv: Linear; // [3d, d]
  readonly selfOut: Linear; // [d, d]
  readonly fc1: Linear; // [F, d]
  readonly fc2: Linear; // [d, F]
}

export interface DecoderLayer extends EncoderLayer {
  readonly crossQ: Linear; // [d, d]
  readonly crossKv: Linear; // [2d, d]
  readonly crossOut: Linear; // [d, d]
}

function linearOf(parameters: ModelParameters, name: string): Linear {
  return { weight: parameters.view(`${name}.weight`), bias: parameters.view(`${name}.bias`) };
}

function normOf(parameters: ModelParameters, name: string): Norm {
  return { gamma: parameters.view(`${name}.weight`), beta: parameters.view(`${name}.bias`) };
}

function encoderLayer(parameters: ModelParameters, name: string): EncoderLayer {
  return {
    selfQkv: linearOf(parameters, `${name}.self_attn.qkv_proj`),
    selfOut: linearOf(parameters, `${name}.self_attn.out_proj`),
    fc1: linearOf(parameters, `${name}.fc1`),
    fc2: linearOf(parameters, `${name}.fc2`),
  };
}

function decoderLayer(parameters: ModelParameters, name: string): DecoderLayer {
  return {
    ...encoderLayer(parameters, name),
    crossQ: linearOf(parameters, `${name}.encoder_attn.q_proj`),
    crossKv: linearOf(parameters, `${name}.encoder_attn.kv_proj`),
    crossOut: linearOf(parameters, `${name}.encoder_attn.out_proj`),
  };
}

export function encoderLayers(parameters: ModelParameters, config: ModelConfig): readonly EncoderLayer[] {
  return Array.from({ length: config.encoderLayers }, (_, index) =>
    encoderLayer(parameters, layerName('encoder', index)),
  );
}

export function decoderLayers(parameters: ModelParameters, config: ModelConfig): readonly DecoderLayer[] {
  return Array.from({ length: config.decoderLayers }, (_, index) =>
    decoderLayer(parameters, layerName('decoder', index)),
  );
}

/** The norms of a stack in the order in which the forward meets them; with `pre` the stack's own comes last. */
export function stackNorms(parameters: ModelParameters, config: ModelConfig, stack: Stack): readonly Norm[] {
  const sublayers = stack === 'encoder' ? ['self_attn', 'final'] : ['self_attn', 'encoder_attn', 'final'];
  const layers = stack === 'encoder' ? config.encoderLayers : config.decoderLayers;
  const names: string[] = [];
  for (let index = 0; index < layers; index++) {
    for (const sublayer of sublayers) names.push(`${layerName(stack, index)}.${sublayer}_layer_norm`);
  }
  if (config.norm === 'pre') names.push(`model.${stack}.layer_norm`);
  return names.map((name) => normOf(parameters, name));
}

/**
 * The residual path through one stack. Each sub-layer takes `hidden` and its output is added; the norm that
 * follows that addition runs with it as one kernel. It is the sub-layer's own norm with `post`. With `pre` it is
 * that of the *next* sub-layer (of the stack, at the end), whose sum is carried on: both placements are one chain.
 */
export class ResidualPath {
  /** What products take: the next sub-layer, and of an encoder's result those of the decoder. */
  hidden: tf.Tensor; // [B, T, d]
  /** The same in the residual path's format: what the loss and the logits take. */
  normed: tf.Tensor; // [B, T, d]
  private residual: tf.Tensor; // [B, T, d]
  private norm = 0;

  constructor(
    embedded: tf.Tensor,
    private readonly norms: readonly Norm[],
    private readonly placement: NormPlacement,
    private readonly dropouts: DropoutSites,
  ) {
    this.residual = embedded;
    this.normed = embedded;
    if (placement === 'pre') {
      const { gamma, beta } = this.nextNorm();
      this.normed = ops.layerNorm(embedded, gamma, beta);
    }
    this.hidden = this.normed;
  }

  /** Residual + dropout(output), then the norm. */
  add(output: tf.Tensor): void {
    const { gamma, beta } = this.nextNorm();
    const { sum, normed, operand } = ops.addDropoutNorm(
      this.residual,
      output,
      gamma,
      beta,
      this.dropouts.next(),
    );
    this.residual = this.placement === 'pre' ? sum : normed;
    this.normed = normed;
    this.hidden = operand;
  }

  private nextNorm(): Norm {
    const norm = this.norms[this.norm++];
    assert(norm, 'a norm for every sub-layer');
    return norm;
  }
}

/** x [B, T, d] -> [B, T, d], through F. */
export function feedForward(x: tf.Tensor, layer: EncoderLayer, activation: Activation): tf.Tensor {
  const { fc1, fc2 } = layer;
  return ops.feedForward(x, [fc1.weight, fc1.bias], [fc2.weight, fc2.bias], activation);
}
