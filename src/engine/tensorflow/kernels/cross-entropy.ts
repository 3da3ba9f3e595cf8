// The kernels of the tied output product with cross-entropy, over the R rows that carry loss. What is kept for the
// gradient is the probabilities: the targets, a label and a constant, enter the gradients as terms of their own, which
// spares passes over [R, V].
import type * as tf from '@tensorflow/tfjs';
import { type CrossEntropyAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { register } from './register.js';

/** -Σ target · log p: a target is 1 - s at the label, and s / V everywhere. */
function lossOf(ops: Operations, logs: tf.Tensor, labels: tf.TensorInfo, smoothing: number): tf.Tensor {
  const ofLabels = ops.scale(ops.sumAll(ops.pick(logs, labels)), smoothing - 1);
  if (smoothing === 0) return ofLabels;
  return ops.add(ofLabels, ops.scale(ops.sumAll(logs), -smoothing / logs.shape[1]!));
}

/** [loss, correct] and the logarithms of the probabilities [R, V]. */
function forward(
  ops: Operations,
  { hidden, table, bias, lossRows, labels }: Inputs,
  { smoothing }: CrossEntropyAttrs,
): tf.Tensor[] {
  if (lossRows!.shape[0] === 0) return [ops.zeros([]), ops.zeros([]), ops.zeros([0, table!.shape[0]!])];
  const rows = ops.gather(ops.toMatrix(hidden!), lossRows!); // [R, d]
  const logits = ops.addBias(ops.matMul(rows, table!, false, true), bias!); // [R, V]
  const logs = ops.softmax('LogSoftmax', logits);
  const hits = ops.binary('Equal', ops.argMax(logits), labels!);
  const loss = lossOf(ops, logs, labels!, smoothing);
  return [loss, ops.sumAll(ops.toFloat(hits)), logs];
}

/** [dHidden, dTable] */
function gradient(ops: Operations, inputs: Inputs, { smoothing }: CrossEntropyAttrs): tf.Tensor[] {
  const { dy, dLogits: probabilities, hidden, table, lossRows, labels } = inputs;
  if (lossRows!.shape[0] === 0) return [ops.zeros(hidden!.shape), ops.zeros(table!.shape)];
  const flat = ops.toMatrix(hidden!); // [B * T, d]
  const rows = ops.gather(flat, lossRows!); // [R, d]
  const vocabulary = table!.shape[0]!;
  // The gradient in the logits is p - (1 - s) · label - s / V.
  const less = (from: tf.Tensor, ofLabels: tf.Tensor, ofAll: tf.Tensor): tf.Tensor => {
    const difference = ops.binary('Sub', from, ops.scale(ofLabels, 1 - smoothing));
    return smoothing === 0
      ? difference
      : ops.binary('Sub', difference, ops.scale(ofAll, smoothing / vocabulary));
  };
  const dRows = less(
    ops.matMul(probabilities!, table!, false, false),
    ops.gather(table!, labels!),
    ops.sumRows(table!),
  );
  const dTable = less(
    ops.matMul(probabilities!, rows, true, false),
    ops.segmentSum(rows, labels!, vocabulary),
    ops.sumRows(rows),
  );
  const dHidden = ops.segmentSum(ops.multiply(dRows, dy!), lossRows!, flat.shape[0]);
  return [ops.reshape(dHidden, hidden!.shape), ops.multiply(dTable, dy!)];
}

export function registerCrossEntropy(): void {
  register<CrossEntropyAttrs>(Kernel.crossEntropy, (ops, inputs, attrs) => {
    const [loss, correct, logs] = forward(ops, inputs, attrs) as [tf.Tensor, tf.Tensor, tf.Tensor];
    return [loss, correct, ops.unary('Exp', logs)];
  });
  register<CrossEntropyAttrs>(Kernel.crossEntropyValue, (ops, inputs, attrs) =>
    forward(ops, inputs, attrs).slice(0, 2),
  );
  register<CrossEntropyAttrs>(Kernel.crossEntropyGradient, gradient);
}
