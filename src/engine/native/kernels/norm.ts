// The kernels of layer norm, alone and behind residual and dropout.
import { Kernel, NO_DROPOUT, type NormAttrs, type Inputs } from '../../kernels.js';
import type { KernelBackend } from '../kernel-backend.js';
import { register, rowsOf, widthOf } from './register.js';

type GradientAttrs = Pick<NormAttrs, 'dropout'>;

function addDropoutNorm(backend: KernelBackend, inputs: Inputs, { epsilon, dropout }: NormAttrs) {
  const x = inputs.x!;
  const rows = rowsOf(x);
  const sum = backend.residualOutput(x.shape);
  const normed = backend.residualOutput(x.shape);
  const operand = backend.asOperand(normed);
  const stats = backend.floatOutput([rows, 2]);
  backend.kernels.addDropoutNorm(
    backend.residual(inputs.residual!),
    backend.activations(x),
    backend.floats(inputs.gamma!),
    backend.floats(inputs.beta!),
    sum.values,
    normed.values,
    operand.values,
    stats.values,
    rows,
    widthOf(x),
    epsilon,
    dropout,
  );
  return [sum.info, normed.info, operand.info, stats.info];
}

function addDropoutNormGradient(backend: KernelBackend, inputs: Inputs, { dropout }: GradientAttrs) {
  const sum = inputs.sum!;
  const dx = backend.operandOutput(sum.shape); // x comes from a product
  const dGamma = backend.firstGradientOutput(inputs.gamma!);
  const dBeta = backend.firstGradientOutput(inputs.beta!);
  // Without dropout residual and x have the same gradient, and perhaps in the same format.
  const isShared = dropout.rate === 0 && backend.alike(dx.info, sum);
  const dResidual = isShared ? null : backend.residualOutput(sum.shape);
  backend.kernels.addDropoutNormGradient(
    inputs.dy === undefined ? null : backend.residual(inputs.dy),
    inputs.dOperand === undefined ? null : backend.activations(inputs.dOperand),
    inputs.dSum === undefined ? null : backend.residual(inputs.dSum),
    backend.residual(sum),
    backend.floats(inputs.gamma!),
    backend.floats(inputs.stats!),
    dResidual === null ? null : dResidual.values,
    dx.values,
    dGamma.values,
    dBeta.values,
    rowsOf(sum),
    widthOf(sum),
    dropout,
  );
  return [dResidual === null ? backend.share(dx) : dResidual.info, dx.info, dGamma.info, dBeta.info];
}

function layerNorm(backend: KernelBackend, inputs: Inputs, { epsilon }: NormAttrs) {
  const x = inputs.x!;
  const rows = rowsOf(x);
  const normed = backend.residualOutput(x.shape);
  const stats = backend.floatOutput([rows, 2]);
  // The addon writes the sum (here x itself) too; the gradient uses x, so nobody wants the copy.
  backend.withScratch(rows * widthOf(x), (sum) => {
    backend.kernels.addDropoutNorm(
      null,
      backend.residual(x),
      backend.floats(inputs.gamma!),
      backend.floats(inputs.beta!),
      sum,
      normed.values,
      null,
      stats.values,
      rows,
      widthOf(x),
      epsilon,
      NO_DROPOUT,
    );
  });
  return [normed.info, stats.info];
}

function layerNormGradient(backend: KernelBackend, inputs: Inputs) {
  const x = inputs.x!;
  const dx = backend.residualOutput(x.shape);
  const dGamma = backend.firstGradientOutput(inputs.gamma!);
  const dBeta = backend.firstGradientOutput(inputs.beta!);
  backend.kernels.addDropoutNormGradient(
    backend.residual(inputs.dy!),
    null,
    null,
    backend.residual(x),
    backend.floats(inputs.gamma!),
    backend.floats(inputs.stats!),
    null,
    dx.values,
    dGamma.values,
    dBeta.values,
    rowsOf(x),
    widthOf(x),
    NO_DROPOUT,
  );
  return [dx.info, dGamma.info, dBeta.info];
}

export function registerNorms(backendName: string): void {
  register<NormAttrs>(backendName, Kernel.addDropoutNorm, addDropoutNorm);
  register<GradientAttrs>(backendName, Kernel.addDropoutNormGradient, addDropoutNormGradient);
  register<NormAttrs>(backendName, Kernel.layerNorm, layerNorm);
  register(backendName, Kernel.layerNormGradient, layerNormGradient);
}
