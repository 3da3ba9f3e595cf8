// The kernels of the tied output product with cross-entropy, over the R rows that carry loss.
import type * as tf from '@tensorflow/tfjs';
import { type CrossEntropyAttrs, Kernel } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { type Inputs, register } from './register.js';

/** [loss, correct, dLogits] */
function forward(ops: Operations, inputs: Inputs, { smoothing }: CrossEntropyAttrs): tf.Tensor[] {
  const { hidden, table, bias, lossRows, labels } = inputs;
  const vocabulary = table!.shape[0]!;
  if (lossRows!.shape[0] === 0) return [ops.zeros([]), ops.zeros([]), ops.zeros([0, vocabulary])];
  const rows = ops.gather(ops.toMatrix(hidden!), lossRows!); // [R, d]
  const logits = ops.addBias(ops.matMul(rows, table!, false, true), bias!); // [R, V]
  const share = smoothing / vocabulary;
  const [losses, dLogits] =
    smoothing === 0
      ? ops.sparseCrossEntropy(logits, labels!)
      : ops.crossEntropy(logits, ops.oneHot(labels!, vocabulary, 1 - smoothing + share, share));
  const hits = ops.binary('Equal', ops.argMax(logits), labels!);
  return [ops.sumAll(losses!), ops.sumAll(ops.toFloat(hits)), dLogits!];
}

/** [dHidden, dTable] */
function gradient(ops: Operations, { dy, dLogits, hidden, table, lossRows }: Inputs): tf.Tensor[] {
  if (lossRows!.shape[0] === 0) return [ops.zeros(hidden!.shape), ops.zeros(table!.shape)];
  const flat = ops.toMatrix(hidden!); // [B * T, d]
  const dRows = ops.multiply(ops.matMul(dLogits!, table!, false, false), dy!); // [R, d]
  const dTable = ops.matMul(dLogits!, ops.gather(flat, lossRows!), true, false);
  const dHidden = ops.segmentSum(dRows, lossRows!, flat.shape[0]!);
  return [ops.reshape(dHidden, hidden!.shape), ops.multiply(dTable, dy!)];
}

export function registerCrossEntropy(): void {
  register<CrossEntropyAttrs>(Kernel.crossEntropy, forward);
  register<CrossEntropyAttrs>(Kernel.crossEntropyValue, (ops, inputs, attrs) =>
    forward(ops, inputs, attrs).slice(0, 2),
  );
  register(Kernel.crossEntropyGradient, gradient);
}
