// Checks of an operation's arguments: what is wrong here is a bug of the caller, and the message names it.
import type * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';

/** Every tensor is float32. */
export function expectFloat(op: string, tensors: Record<string, tf.Tensor>): void {
  expectType(op, tensors, 'float32');
}

/** Every tensor is int32. */
export function expectInt(op: string, tensors: Record<string, tf.Tensor>): void {
  expectType(op, tensors, 'int32');
}

function expectType(op: string, tensors: Record<string, tf.Tensor>, dtype: tf.DataType): void {
  for (const name in tensors) {
    const tensor = tensors[name]!;
    if (tensor.dtype !== dtype) assert(false, `${op}: expected ${name} of ${dtype}, got ${tensor.dtype}`);
  }
}

/** `tensor` has this shape; -1 stands for any size. */
export function expectShape(op: string, name: string, tensor: tf.Tensor, shape: readonly number[]): void {
  const fits =
    tensor.rank === shape.length && shape.every((size, i) => size === -1 || size === tensor.shape[i]);
  if (!fits) assert(false, `${op}: expected ${name} of shape ${text(shape)}, got ${text(tensor.shape)}`);
}

function text(shape: readonly number[]): string {
  return `[${shape.map((size) => (size === -1 ? 'any' : size)).join(', ')}]`;
}
