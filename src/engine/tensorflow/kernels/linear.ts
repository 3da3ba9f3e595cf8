// The linear layer's kernels: y = activation(x · wᵀ + b) and its gradient. M rows, K inputs, N outputs.
// tfjs-node cannot pass lists of strings, which TensorFlow's fused product wants: bias and activation follow it.
import type * as tf from '@tensorflow/tfjs';
import { Kernel, type LinearAttrs, type Inputs } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { register } from './register.js';

/** x · wᵀ + b: [M, N]. */
function product(ops: Operations, { x, w, b }: Inputs): tf.Tensor {
  return ops.addBias(ops.matMul(ops.toMatrix(x!), w!, false, true), b!);
}

/** 2 Φ(z) */
function doubleNormalCdf(ops: Operations, z: tf.TensorInfo): tf.Tensor {
  return ops.add(ops.unary('Erf', ops.scale(z, Math.SQRT1_2)), ops.scalar(1));
}

function gelu(ops: Operations, z: tf.Tensor): tf.Tensor {
  return ops.multiply(ops.scale(z, 0.5), doubleNormalCdf(ops, z));
}

/** dy (Φ(z) + z φ(z)) */
function geluGradient(ops: Operations, dy: tf.TensorInfo, z: tf.TensorInfo): tf.Tensor {
  const density = ops.unary('Exp', ops.scale(ops.unary('Square', z), -0.5));
  const slope = ops.add(
    ops.scale(doubleNormalCdf(ops, z), 0.5),
    ops.multiply(ops.scale(z, 1 / Math.sqrt(2 * Math.PI)), density),
  );
  return ops.multiply(dy, slope);
}

function swish(ops: Operations, z: tf.Tensor): tf.Tensor {
  return ops.multiply(z, ops.unary('Sigmoid', z));
}

/** dy σ(z) (1 + z σ(-z)) */
function swishGradient(ops: Operations, dy: tf.TensorInfo, z: tf.TensorInfo): tf.Tensor {
  const complement = ops.unary('Sigmoid', ops.scale(z, -1));
  const slope = ops.multiply(ops.unary('Sigmoid', z), ops.add(ops.multiply(z, complement), ops.scalar(1)));
  return ops.multiply(dy, slope);
}

function activate(ops: Operations, z: tf.Tensor, { activation }: LinearAttrs): tf.Tensor {
  switch (activation) {
    case 'none':
      return z;
    case 'relu':
      return ops.unary('Relu', z);
    case 'gelu':
      return gelu(ops, z);
    case 'swish':
      return swish(ops, z);
  }
}

/** dy · activation'(z), of what the forward saved. */
function throughActivation(
  ops: Operations,
  { dy, saved }: Inputs,
  { activation }: LinearAttrs,
): tf.TensorInfo {
  switch (activation) {
    case 'none':
      return dy!;
    case 'relu':
      return ops.binary('ReluGrad', dy!, saved!);
    case 'gelu':
      return geluGradient(ops, dy!, saved!);
    case 'swish':
      return swishGradient(ops, dy!, saved!);
  }
}

function shapeOf({ x, w }: Inputs): number[] {
  return [...x!.shape.slice(0, -1), w!.shape[0]!];
}

function forward(ops: Operations, inputs: Inputs, attrs: LinearAttrs): tf.Tensor {
  return ops.reshape(activate(ops, product(ops, inputs), attrs), shapeOf(inputs));
}

function forwardKeepingSum(ops: Operations, inputs: Inputs, attrs: LinearAttrs): tf.Tensor[] {
  const z = product(ops, inputs);
  return [activate(ops, z, attrs), z].map((y) => ops.reshape(y, shapeOf(inputs)));
}

function gradient(ops: Operations, inputs: Inputs, attrs: LinearAttrs): tf.Tensor[] {
  const { x, w } = inputs;
  const rows = ops.toMatrix(throughActivation(ops, inputs, attrs)); // [M, N]
  const dx = ops.matMul(rows, w!, false, false);
  const dw = ops.matMul(rows, ops.toMatrix(x!), true, false);
  return [ops.reshape(dx, x!.shape), dw, ops.sumRows(rows)];
}

export function registerLinear(): void {
  register<LinearAttrs>(Kernel.linear, forward);
  register<LinearAttrs>(Kernel.linearRelu, forward);
  register<LinearAttrs>(Kernel.linearKeepingSum, forwardKeepingSum);
  register<LinearAttrs>(Kernel.linearGradient, gradient);
}
