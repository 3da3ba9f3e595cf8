// The kernels of linear layers, y = x · wᵀ + b, and of two with an activation between them. M rows, K inputs, N outputs, F inside.
import type * as tf from '@tensorflow/tfjs';
import { type FeedForwardAttrs, type Inputs, Kernel, type LinearAttrs } from '../../kernels.js';
import { ActivationCode, type Activations } from '../addon.js';
import type { KernelBackend, Output } from '../kernel-backend.js';
import { register, rowsOf, widthOf } from './register.js';

interface Layer {
  readonly w: tf.TensorInfo; // [N, K]
  readonly b: tf.TensorInfo; // [N]
}

const outputShape = (x: tf.TensorInfo, { w }: Layer): number[] => [...x.shape.slice(0, -1), w.shape[0]!];

/** y = activation(z), z = x · wᵀ + b; `z` where that is kept. */
function forward(
  backend: KernelBackend,
  x: tf.TensorInfo,
  { w, b }: Layer,
  activation: keyof typeof ActivationCode,
  y: Output<Activations>,
  z: Output<Activations> | null,
): void {
  backend.kernels.linear(
    backend.activations(x),
    backend.floats(w),
    backend.floats(b),
    y.values,
    z?.values ?? null,
    rowsOf(x),
    widthOf(x),
    w.shape[0]!,
    ActivationCode[activation],
    backend.precision,
  );
}

/** dx is multiplied by the gradient of the activation that x came from, which needs what the forward `saved` of it. */
function backward(
  backend: KernelBackend,
  dy: tf.TensorInfo,
  x: tf.TensorInfo,
  { w, b }: Layer,
  dx: Output<Activations>,
  through: { activation: keyof typeof ActivationCode; saved: tf.TensorInfo } | null,
): { dw: tf.TensorInfo; db: tf.TensorInfo } {
  const dw = backend.firstGradientOutput(w);
  const db = backend.firstGradientOutput(b);
  backend.kernels.linearGradient(
    backend.operand(dy),
    backend.activations(x),
    backend.floats(w),
    through && backend.activations(through.saved),
    dx.values,
    dw.values,
    db.values,
    rowsOf(x),
    widthOf(x),
    w.shape[0]!,
    ActivationCode[through?.activation ?? 'none'],
    backend.precision,
  );
  return { dw: dw.info, db: db.info };
}

function linear(backend: KernelBackend, inputs: Inputs, { isLast = false }: LinearAttrs): tf.TensorInfo {
  const x = inputs.x!;
  const layer = { w: inputs.w!, b: inputs.b! };
  const shape = outputShape(x, layer);
  const y = isLast ? backend.residualOutput(shape) : backend.operandOutput(shape);
  forward(backend, x, layer, 'none', y, null);
  return y.info;
}

function linearGradient(backend: KernelBackend, inputs: Inputs): tf.TensorInfo[] {
  const x = inputs.x!;
  const dx = backend.outputLike(x);
  const { dw, db } = backward(backend, inputs.dy!, x, { w: inputs.w!, b: inputs.b! }, dx, null);
  return [dx.info, dw, db];
}

/** An operand of products for the time of `use`. */
function withOperand<Result>(
  backend: KernelBackend,
  shape: readonly number[],
  use: (operand: Output<Activations>) => Result,
): Result {
  const operand = backend.operandOutput(shape);
  try {
    return use(operand);
  } finally {
    backend.disposeData(operand.info.dataId);
  }
}

const innerOf = (inputs: Inputs): Layer => ({ w: inputs.w1!, b: inputs.b1! });
const outerOf = (inputs: Inputs): Layer => ({ w: inputs.w2!, b: inputs.b2! });

function feedForward(
  backend: KernelBackend,
  inputs: Inputs,
  { activation, hasTape }: FeedForwardAttrs,
): tf.TensorInfo[] {
  const x = inputs.x!;
  const [inner, outer] = [innerOf(inputs), outerOf(inputs)];
  const y = backend.operandOutput(outputShape(x, outer));
  const run = (hidden: Output<Activations>, z: Output<Activations> | null): void => {
    forward(backend, x, inner, activation, hidden, z);
    forward(backend, hidden.info, outer, 'none', y, null);
  };
  const shape = outputShape(x, inner);
  if (!hasTape) {
    withOperand(backend, shape, (hidden) => run(hidden, null));
    return [y.info];
  }
  const hidden = backend.operandOutput(shape);
  const z = activation === 'relu' ? null : backend.operandOutput(shape);
  run(hidden, z);
  return [y.info, hidden.info, ...(z ? [z.info] : [])];
}

function feedForwardGradient(
  backend: KernelBackend,
  inputs: Inputs,
  { activation }: FeedForwardAttrs,
): tf.TensorInfo[] {
  const x = inputs.x!;
  const hidden = inputs.hidden!;
  const dx = backend.outputLike(x);
  return withOperand(backend, hidden.shape, (dz) => {
    const through = { activation, saved: inputs.z ?? hidden };
    const outer = backward(backend, inputs.dy!, hidden, outerOf(inputs), dz, through);
    const inner = backward(backend, dz.info, x, innerOf(inputs), dx, null);
    return [dx.info, inner.dw, inner.db, outer.dw, outer.db];
  });
}

export function registerLinear(backendName: string): void {
  register(backendName, Kernel.linear, linear);
  register(backendName, Kernel.linearGradient, linearGradient);
  register(backendName, Kernel.feedForward, feedForward);
  register(backendName, Kernel.feedForwardGradient, feedForwardGradient);
}
