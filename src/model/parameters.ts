// Where each parameter lies in the flat vector, under Hugging Face's names, and the tensors that the model
// computes with: views of that vector. The vector is the data section of model.safetensors.

import type * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import type { ModelConfig } from './config.js';

/** One tensor of the checkpoint. Offsets and sizes count elements of the flat vector. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
  /** Whether AdamW's decay applies: matrices yes, biases and norms no. */
  readonly decay: boolean;
}

/** One tensor of the computation: a tensor of the checkpoint, or q, k and v (k and v) as one matrix. */
export interface ViewSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

export interface ParameterLayout {
  /** In the order of their offsets, without gaps: the trainable ones, then the constant ones. */
  readonly tensors: readonly TensorSpec[];
  /** The same elements in the same order. */
  readonly views: readonly ViewSpec[];
  /** Elements that are trained: those of [0, trainable). */
  readonly trainable: number;
  readonly total: number;
}

export const SHARED_EMBEDDING = 'model.shared.weight';
export const FINAL_BIAS = 'final_logits_bias';

export type Stack = 'encoder' | 'decoder';

/** The name of the stored positions of a stack (pre-norm only; Marian computes them). */
export function positionsName(stack: Stack): string {
  return `model.${stack}.embed_positions.weight`;
}

/** The common prefix of the names of a layer's parameters, without the final dot. */
export function layerName(stack: Stack, layer: number): string {
  return `model.${stack}.layers.${layer}`;
}

/** Collects tensors and views side by side, both at the running offset. */
class LayoutBuilder {
  readonly tensors: TensorSpec[] = [];
  readonly views: ViewSpec[] = [];
  offset = 0;

  /** Consecutive tensors of one shape, seen as one view: their rows (or elements) one after the other. */
  packed(viewName: string, names: readonly string[], shape: readonly number[], viewShape: readonly number[]) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    this.views.push({ name: viewName, shape: viewShape, offset: this.offset, size: size * names.length });
    for (const name of names) {
      this.tensors.push({ name, shape, offset: this.offset, size, decay: shape.length > 1 });
      this.offset += size;
    }
  }

  single(name: string, shape: readonly number[]) {
    this.packed(name, [name], shape, shape);
  }

  /** Never trained, hence never decayed; `viewShape` where the computation wants another shape. */
  constant(name: string, shape: readonly number[], viewShape = shape) {
    this.packed(name, [name], shape, viewShape);
    const spec = this.tensors.pop()!;
    this.tensors.push({ ...spec, decay: false });
  }

  linear(name: string, output: number, input: number) {
    this.single(`${name}.weight`, [output, input]);
    this.single(`${name}.bias`, [output]);
  }

  norm(name: string, width: number) {
    this.single(`${name}.weight`, [width]);
    this.single(`${name}.bias`, [width]);
  }

  /**
   * q.w k.w v.w q.b k.b v.b out.w out.b. `packs` says which projections are one matrix product, for example
   * ['q', 'kv']; q, k and v stay in this order, so that any packing is contiguous.
   */
  attention(name: string, width: number, packs: readonly string[]) {
    for (const kind of ['weight', 'bias'] as const) {
      for (const pack of packs) {
        const names = [...pack].map((letter) => `${name}.${letter}_proj.${kind}`);
        const rows = names.length * width;
        if (kind === 'weight') {
          this.packed(`${name}.${pack}_proj.weight`, names, [width, width], [rows, width]);
        } else {
          this.packed(`${name}.${pack}_proj.bias`, names, [width], [rows]);
        }
      }
    }
    this.linear(`${name}.out_proj`, width, width);
  }

  layer(stack: Stack, index: number, config: ModelConfig) {
    const name = layerName(stack, index);
    const { width, feedForward } = config;
    this.attention(`${name}.self_attn`, width, ['qkv']);
    this.norm(`${name}.self_attn_layer_norm`, width);
    if (stack === 'decoder') {
      this.attention(`${name}.encoder_attn`, width, ['q', 'kv']);
      this.norm(`${name}.encoder_attn_layer_norm`, width);
    }
    this.linear(`${name}.fc1`, feedForward, width);
    this.linear(`${name}.fc2`, width, feedForward);
    this.norm(`${name}.final_layer_norm`, width);
  }
}

/**
 * The layout of a model's flat vector: embedding, encoder, decoder (with `pre`, each with its final norm after
 * its layers), then what is never trained: `final_logits_bias` (zeros) and, with `pre`, the two stored copies
 * of the positions. Names and shapes are those of Hugging Face's MarianMTModel (`post`) and
 * PegasusForConditionalGeneration (`pre`).
 */
export function parameterLayout(config: ModelConfig): ParameterLayout {
  const { vocabularySize, width } = config;
  const builder = new LayoutBuilder();
  builder.single(SHARED_EMBEDDING, [vocabularySize, width]);
  for (const stack of ['encoder', 'decoder'] as const) {
    const layers = stack === 'encoder' ? config.encoderLayers : config.decoderLayers;
    for (let index = 0; index < layers; index++) builder.layer(stack, index, config);
    if (config.norm === 'pre') builder.norm(`model.${stack}.layer_norm`, width);
  }
  const trainable = builder.offset;
  builder.constant(FINAL_BIAS, [1, vocabularySize], [vocabularySize]);
  if (config.norm === 'pre') {
    builder.constant(positionsName('encoder'), [config.maxLength, width]);
    builder.constant(positionsName('decoder'), [config.maxLength, width]);
  }
  return { tensors: builder.tensors, views: builder.views, trainable, total: builder.offset };
}

/** What ModelParameters needs of an engine: tensors over the caller's memory. */
export interface TensorViews {
  view(values: Float32Array, shape: readonly number[]): tf.Tensor;
  refresh(view: tf.Tensor): void;
}

export interface TrainableView {
  readonly spec: ViewSpec;
  readonly tensor: tf.Tensor;
}

/** The model's parameters as tensors over one flat vector: the model sees what is written to it after `refresh`. */
export class ModelParameters {
  /** In the order of the layout. */
  readonly trainable: readonly TrainableView[];
  private readonly tensors = new Map<string, tf.Tensor>();

  /** `flat` holds `layout.total` elements, in the layout's order. */
  constructor(
    private readonly engine: TensorViews,
    readonly layout: ParameterLayout,
    flat: Float32Array,
  ) {
    assert(flat.length === layout.total, `a flat vector of ${layout.total} elements, got ${flat.length}`);
    const trainable: TrainableView[] = [];
    for (const spec of layout.views) {
      const tensor = engine.view(flat.subarray(spec.offset, spec.offset + spec.size), spec.shape);
      this.tensors.set(spec.name, tensor);
      if (spec.offset < layout.trainable) trainable.push({ spec, tensor });
    }
    this.trainable = trainable;
  }

  /** The tensor of a view, by its name in the layout. */
  view(name: string): tf.Tensor {
    const tensor = this.tensors.get(name);
    assert(tensor, `no parameter is named ${name}`);
    return tensor;
  }

  /** To be called when the vector has been written to. */
  refresh(): void {
    for (const tensor of this.tensors.values()) this.engine.refresh(tensor);
  }

  /** Frees the tensors; the vector stays the caller's. */
  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
    this.tensors.clear();
  }
}

/** The tensor that an element of the flat vector belongs to. */
export function tensorAt({ tensors }: ParameterLayout, element: number): TensorSpec {
  const tensor = tensors.find(({ offset, size }) => element >= offset && element < offset + size);
  assert(tensor, `element ${element} lies in the vector`);
  return tensor;
}
