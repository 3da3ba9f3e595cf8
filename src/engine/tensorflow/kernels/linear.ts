// The kernels of linear layers, y = x · wᵀ + b, and of two with an activation between them. M rows, K inputs, N outputs, F inside.
// tfjs-node cannot pass lists of strings, which TensorFlow's fused product wants: bias and activation follow it.
import type * as tf from '@tensorflow/tfjs';
import type { Activation } from '../../../model/config.js';
import { type FeedForwardAttrs, type Inputs, Kernel } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { register } from './register.js';

/** x [M, K] · wᵀ + b: [M, N]. */
function product(ops: Operations, x: tf.TensorInfo, w: tf.TensorInfo, b: tf.TensorInfo): tf.Tensor {
  return ops.addBias(ops.matMul(x, w, false, true), b);
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

function activate(ops: Operations, z: tf.Tensor, activation: Activation): tf.Tensor {
  switch (activation) {
    case 'relu':
      return ops.unary('Relu', z);
    case 'gelu':
      return gelu(ops, z);
    case 'swish':
      return swish(ops, z);
  }
}

/** dy · activation'(z), of what the forward saved: relu(z), or z. */
function throughActivation(
  ops: Operations,
  dy: tf.TensorInfo,
  saved: tf.TensorInfo,
  activation: Activation,
): tf.TensorInfo {
  switch (activation) {
    case 'relu':
      return ops.binary('ReluGrad', dy, saved);
    case 'gelu':
      return geluGradient(ops, dy, saved);
    case 'swish':
      return swishGradient(ops, dy, saved);
  }
}

const shapeOf = (x: tf.TensorInfo, w: tf.TensorInfo): number[] => [...x.shape.slice(0, -1), w.shape[0]!];

function linear(ops: Operations, { x, w, b }: Inputs): tf.Tensor {
  return ops.reshape(product(ops, ops.toMatrix(x!), w!, b!), shapeOf(x!, w!));
}

/** [dx, dw, db] of dy and x as matrices. */
function gradients(ops: Operations, dy: tf.TensorInfo, x: tf.TensorInfo, w: tf.TensorInfo) {
  return [ops.matMul(dy, w, false, false), ops.matMul(dy, x, true, false), ops.sumRows(dy)] as const;
}

function linearGradient(ops: Operations, { dy, x, w }: Inputs): tf.Tensor[] {
  const [dx, dw, db] = gradients(ops, ops.toMatrix(dy!), ops.toMatrix(x!), w!);
  return [ops.reshape(dx, x!.shape), dw, db];
}

function feedForward(
  ops: Operations,
  inputs: Inputs,
  { activation, hasTape }: FeedForwardAttrs,
): tf.Tensor[] {
  const { x, w1, b1, w2, b2 } = inputs;
  const z = product(ops, ops.toMatrix(x!), w1!, b1!);
  const hidden = activate(ops, z, activation);
  const y = ops.reshape(product(ops, hidden, w2!, b2!), shapeOf(x!, w2!));
  if (!hasTape) return [y];
  return activation === 'relu' ? [y, hidden] : [y, hidden, z];
}

function feedForwardGradient(ops: Operations, inputs: Inputs, { activation }: FeedForwardAttrs): tf.Tensor[] {
  const { dy, x, w1, w2, hidden, z } = inputs;
  const [dHidden, dw2, db2] = gradients(ops, ops.toMatrix(dy!), hidden!, w2!);
  const dz = throughActivation(ops, dHidden, z ?? hidden!, activation);
  const [dx, dw1, db1] = gradients(ops, dz, ops.toMatrix(x!), w1!);
  return [ops.reshape(dx, x!.shape), dw1, db1, dw2, db2];
}

export function registerLinear(): void {
  register(Kernel.linear, linear);
  register(Kernel.linearGradient, linearGradient);
  register(Kernel.feedForward, feedForward);
  register(Kernel.feedForwardGradient, feedForwardGradient);
}
