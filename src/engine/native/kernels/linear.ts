// The linear layer's kernels: y = activation(x · wᵀ + b) and its gradient. M rows, K inputs, N outputs.
import { Kernel, type LinearAttrs, type Inputs } from '../../kernels.js';
import { ActivationCode, type Activations } from '../addon.js';
import type { KernelBackend, Output } from '../kernel-backend.js';
import { register, rowsOf, widthOf } from './register.js';

/** Computes y; `keepPreActivation` adds z, the sum before the activation. */
function forward(
  backend: KernelBackend,
  inputs: Inputs,
  { activation, isLast = false }: LinearAttrs,
  keepPreActivation: boolean,
): Output<Activations>[] {
  const x = inputs.x!;
  const w = inputs.w!;
  const k = widthOf(x);
  const n = w.shape[0]!;
  const shape = [...x.shape.slice(0, -1), n];
  const y = isLast ? backend.residualOutput(shape) : backend.operandOutput(shape);
  const z = keepPreActivation ? backend.operandOutput(shape) : null;
  backend.kernels.linear(
    backend.activations(x),
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

function gradient(backend: KernelBackend, inputs: Inputs, { activation }: LinearAttrs) {
  const x = inputs.x!;
  const w = inputs.w!;
  const dx = backend.outputLike(x);
  const dw = backend.firstGradientOutput(w);
  const db = backend.firstGradientOutput(inputs.b!);
  backend.kernels.linearGradient(
    backend.operand(inputs.dy!),
    backend.activations(x),
    backend.floats(w),
    activation === 'none' ? null : backend.operand(inputs.saved!),
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

export function registerLinear(backendName: string): void {
  register<LinearAttrs>(
    backendName,
    Kernel.linear,
    (b, inputs, attrs) => forward(b, inputs, attrs, false)[0]!.info,
  );
  register<LinearAttrs>(
    backendName,
    Kernel.linearRelu,
    (b, inputs, attrs) => forward(b, inputs, attrs, false)[0]!.info,
  );
  register<LinearAttrs>(backendName, Kernel.linearKeepingSum, (b, inputs, attrs) =>
    forward(b, inputs, attrs, true).map(({ info }) => info),
  );
  register<LinearAttrs>(backendName, Kernel.linearGradient, gradient);
}
