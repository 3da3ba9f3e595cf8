// The linear layer's kernels: y = activation(x · wᵀ + b) and its gradient. M rows, K inputs, N outputs.
import { Kernel, type LinearAttrs } from '../../kernels.js';
import { ActivationCode } from '../addon.js';
import type { NativeBackend, Output } from '../backend.js';
import { type Inputs, register, rowsOf, widthOf } from './register.js';

/** Computes y; `keepPreActivation` adds z, the sum before the activation. */
function forward(
  backend: NativeBackend,
  inputs: Inputs,
  { activation }: LinearAttrs,
  keepPreActivation: boolean,
): Output[] {
  const x = inputs.x!;
  const w = inputs.w!;
  const k = widthOf(x);
  const n = w.shape[0]!;
  const shape = [...x.shape.slice(0, -1), n];
  const y = backend.output(shape);
  const z = keepPreActivation ? backend.output(shape) : null;
  backend.addon.linear(
    backend.floats(x),
    backend.floats(w),
    backend.floats(inputs.b!),
    y.values,
    z === null ? null : z.values,
    rowsOf(x),
    k,
    n,
    ActivationCode[activation],
    backend.precision,
  );
  return z === null ? [y] : [y, z];
}

function gradient(backend: NativeBackend, inputs: Inputs, { activation }: LinearAttrs) {
  const x = inputs.x!;
  const w = inputs.w!;
  const dx = backend.output(x.shape);
  const dw = backend.firstGradientOutput(w);
  const db = backend.firstGradientOutput(inputs.b!);
  backend.addon.linearGradient(
    backend.floats(inputs.dy!),
    backend.floats(x),
    backend.floats(w),
    activation === 'none' ? null : backend.floats(inputs.saved!),
    dx.values,
    dw.values,
    db.values,
    rowsOf(x),
    widthOf(x),
    w.shape[0]!,
    ActivationCode[activation],
    backend.precision,
  );
  return [dx.info, dw.info, db.info];
}

export function registerLinear(): void {
  register<LinearAttrs>(Kernel.linear, (b, inputs, attrs) => forward(b, inputs, attrs, false)[0]!.info);
  register<LinearAttrs>(Kernel.linearRelu, (b, inputs, attrs) => forward(b, inputs, attrs, false)[0]!.info);
  register<LinearAttrs>(Kernel.linearGelu, (b, inputs, attrs) =>
    forward(b, inputs, attrs, true).map(({ info }) => info),
  );
  register<LinearAttrs>(Kernel.linearGradient, gradient);
}
