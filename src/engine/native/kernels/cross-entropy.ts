// The kernels of the tied output product with cross-entropy, over the R rows that carry loss.
import { type CrossEntropyAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { Activations } from '../addon.js';
import type { KernelBackend, Output } from '../kernel-backend.js';
import { register, rowsOf } from './register.js';

/** `dLogits` null: the loss is wanted without its gradient. */
function forward(
  backend: KernelBackend,
  inputs: Inputs,
  { smoothing }: CrossEntropyAttrs,
  dLogits: Output<Activations> | null,
) {
  const rows = inputs.lossRows!.shape[0]!;
  const [vocabulary, width] = inputs.table!.shape as [number, number];
  const [loss, correct] = [backend.floatOutput([]), backend.floatOutput([])];
  if (rows === 0) [loss, correct].forEach((output) => backend.zero(output));
  else {
    backend.kernels.crossEntropy(
      backend.residual(inputs.hidden!),
      backend.floats(inputs.table!),
      backend.floats(inputs.bias!),
      backend.integers(inputs.lossRows!, rowsOf(inputs.hidden!)),
      backend.integers(inputs.labels!, vocabulary),
      dLogits === null ? null : dLogits.values,
      loss.values,
      correct.values,
      rows,
      width,
      vocabulary,
      smoothing,
      backend.precision,
    );
  }
  return [loss.info, correct.info];
}

function gradient(backend: KernelBackend, inputs: Inputs) {
  const hidden = inputs.hidden!;
  const table = inputs.table!;
  const rows = inputs.lossRows!.shape[0]!;
  const dHidden = backend.residualOutput(hidden.shape);
  const dTable = backend.gradientOutput(table);
  if (rows === 0) {
    backend.zero(dHidden);
    if (!dTable.accumulate) backend.zero(dTable);
    return [dHidden.info, dTable.info];
  }
  backend.kernels.crossEntropyGradient(
    backend.operand(inputs.dLogits!),
    backend.residual(hidden),
    backend.floats(table),
    backend.integers(inputs.lossRows!, rowsOf(hidden)),
    dHidden.values,
    dTable.values,
    rowsOf(hidden),
    rows,
    table.shape[1]!,
    table.shape[0]!,
    backend.scalar(inputs.dy!),
    dTable.accumulate,
    backend.precision,
  );
  return [dHidden.info, dTable.info];
}

export function registerCrossEntropy(backendName: string): void {
  register<CrossEntropyAttrs>(backendName, Kernel.crossEntropy, (backend, inputs, attrs) => {
    const dLogits = backend.operandOutput([inputs.lossRows!.shape[0]!, inputs.table!.shape[0]!]);
    return [...forward(backend, inputs, attrs, dLogits), dLogits.info];
  });
  register<CrossEntropyAttrs>(backendName, Kernel.crossEntropyValue, (backend, inputs, attrs) =>
    forward(backend, inputs, attrs, null),
  );
  register(backendName, Kernel.crossEntropyGradient, gradient);
}
