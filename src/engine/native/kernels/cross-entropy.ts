// The kernels of the tied output product with cross-entropy, over the R rows that carry loss.
import { type CrossEntropyAttrs, Kernel } from '../../kernels.js';
import { PrecisionCode } from '../addon.js';
import type { NativeBackend, Output } from '../backend.js';
import { type Inputs, register, rowsOf } from './register.js';

function scalar(backend: NativeBackend, value: number) {
  const { info, values } = backend.output([]);
  values[0] = value;
  return info;
}

/** `dLogits` null: the loss is wanted without its gradient. */
function forward(
  backend: NativeBackend,
  inputs: Inputs,
  { smoothing }: CrossEntropyAttrs,
  dLogits: Output | null,
) {
  const rows = inputs.lossRows!.shape[0]!;
  const [vocabulary, width] = inputs.table!.shape as [number, number];
  const result = new Float32Array(2);
  if (rows > 0) {
    backend.addon.crossEntropy(
      backend.floats(inputs.hidden!),
      backend.floats(inputs.table!),
      backend.floats(inputs.bias!),
      backend.integers(inputs.lossRows!),
      backend.integers(inputs.labels!),
      dLogits === null ? null : dLogits.values,
      result,
      rows,
      width,
      vocabulary,
      smoothing,
      backend.precision,
    );
  }
  return [scalar(backend, result[0]!), scalar(backend, result[1]!)];
}

function gradient(backend: NativeBackend, inputs: Inputs) {
  const hidden = inputs.hidden!;
  const table = inputs.table!;
  const rows = inputs.lossRows!.shape[0]!;
  const dHidden = backend.output(hidden.shape);
  const dTable = backend.gradientOutput(table);
  if (rows === 0) {
    dHidden.values.fill(0);
    if (!dTable.accumulate) dTable.values.fill(0);
    return [dHidden.info, dTable.info];
  }
  backend.addon.crossEntropyGradient(
    backend.floats(inputs.dLogits!),
    backend.floats(hidden),
    backend.floats(table),
    backend.integers(inputs.lossRows!),
    dHidden.values,
    dTable.values,
    rowsOf(hidden),
    rows,
    table.shape[1]!,
    table.shape[0]!,
    backend.floats(inputs.dy!)[0]!,
    dTable.accumulate,
    backend.precision,
  );
  return [dHidden.info, dTable.info];
}

/** Room for the logits' gradient in the format that products take; only the gradient's kernel reads it. */
function keptLogits(backend: NativeBackend, rows: number, vocabulary: number): Output {
  const count = rows * vocabulary;
  return backend.output([backend.precision === PrecisionCode.bfloat16 ? Math.ceil(count / 2) : count]);
}

export function registerCrossEntropy(): void {
  register<CrossEntropyAttrs>(Kernel.crossEntropy, (backend, inputs, attrs) => {
    const dLogits = keptLogits(backend, inputs.lossRows!.shape[0]!, inputs.table!.shape[0]!);
    return [...forward(backend, inputs, attrs, dLogits), dLogits.info];
  });
  register<CrossEntropyAttrs>(Kernel.crossEntropyValue, (backend, inputs, attrs) =>
    forward(backend, inputs, attrs, null),
  );
  register(Kernel.crossEntropyGradient, gradient);
}
