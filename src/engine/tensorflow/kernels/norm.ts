// The kernels of layer norm, alone and behind residual and dropout. `stats` holds mean and 1 / √(variance + ε).
import type * as tf from '@tensorflow/tfjs';
import { Kernel, type NormAttrs, type Inputs } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { dropOut } from './dropout.js';
import { register } from './register.js';

type GradientAttrs = Pick<NormAttrs, 'dropout'>;

/** (x - mean) / √(variance + ε) */
function standardised(ops: Operations, x: tf.TensorInfo, mean: tf.Tensor, inverse: tf.Tensor): tf.Tensor {
  return ops.multiply(ops.binary('Sub', x, mean), inverse);
}

/** [normed, stats], stats [2, ..., 1]. */
function normalise(ops: Operations, x: tf.TensorInfo, { gamma, beta }: Inputs, epsilon: number): tf.Tensor[] {
  const mean = ops.overLast('Mean', x);
  const variance = ops.overLast('Mean', ops.binary('SquaredDifference', x, mean));
  const inverse = ops.unary('Rsqrt', ops.add(variance, ops.scalar(epsilon)));
  const normed = ops.add(ops.multiply(standardised(ops, x, mean, inverse), gamma!), beta!);
  return [normed, ops.pack([mean, inverse])];
}

/** dx, dGamma and dBeta of layer norm of x. */
function gradient(
  ops: Operations,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  { gamma, stats }: Inputs,
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const [mean, inverse] = ops.unpack(stats!) as [tf.Tensor, tf.Tensor];
  const unit = standardised(ops, x, mean, inverse);
  const dUnit = ops.multiply(dy, gamma!);
  const along = ops.multiply(unit, ops.overLast('Mean', ops.multiply(dUnit, unit)));
  const centred = ops.binary('Sub', dUnit, ops.overLast('Mean', dUnit));
  const dx = ops.multiply(ops.binary('Sub', centred, along), inverse);
  return [dx, ops.sumRows(ops.toMatrix(ops.multiply(dy, unit))), ops.sumRows(ops.toMatrix(dy))];
}

function addDropoutNorm(ops: Operations, inputs: Inputs, { epsilon, dropout }: NormAttrs): tf.Tensor[] {
  const sum = ops.add(inputs.residual!, dropOut(ops, inputs.x!, dropout));
  const [normed, stats] = normalise(ops, sum, inputs, epsilon) as [tf.Tensor, tf.Tensor];
  return [sum, normed, normed.clone(), stats];
}

function addDropoutNormGradient(ops: Operations, inputs: Inputs, { dropout }: GradientAttrs): tf.Tensor[] {
  const { dy, dOperand } = inputs;
  const both = dy && dOperand ? ops.add(dy, dOperand) : (dy ?? dOperand)!;
  const [dNorm, dGamma, dBeta] = gradient(ops, inputs.sum!, both, inputs);
  const dResidual = inputs.dSum === undefined ? dNorm : ops.add(dNorm, inputs.dSum);
  // Without dropout residual and x have the same gradient.
  const dx = dropout.rate === 0 ? dResidual.clone() : dropOut(ops, dResidual, dropout);
  return [dResidual, dx, dGamma, dBeta];
}

export function registerNorms(): void {
  register<NormAttrs>(Kernel.addDropoutNorm, addDropoutNorm);
  register<GradientAttrs>(Kernel.addDropoutNormGradient, addDropoutNormGradient);
  register<NormAttrs>(Kernel.layerNorm, (ops, inputs, { epsilon }) =>
    normalise(ops, inputs.x!, inputs, epsilon),
  );
  register(Kernel.layerNormGradient, (ops, inputs) => gradient(ops, inputs.x!, inputs.dy!, inputs));
}
