// tfjs's own kernels that are replaced: sums of equal shapes and matrix products of float32 for speed, casts for the
// arrays that our kernels need. Every other kernel is the cpu backend's; those that only rename memory (Identity,
// Reshape, Cast to the same type) copy nothing.
import * as tf from '@tensorflow/tfjs';
import type { NativeBackend } from '../backend.js';
import type { Inputs } from '../../kernels.js';
import { register } from './register.js';

type MatMulAttrs = { transposeA: boolean; transposeB: boolean };
type FusedMatMulAttrs = MatMulAttrs & { activation?: string | null; leakyreluAlpha?: number };

/** Runs the cpu backend's kernel of this name on our storage. */
function stock(
  backend: NativeBackend,
  name: string,
  inputs: Inputs,
  attrs: Record<string, number | boolean | string> = {},
) {
  const result = tf.getKernel(name, 'cpu').kernelFunc({ inputs, attrs, backend });
  return Array.isArray(result) ? result[0]! : result;
}

/** To a wider type the cpu backend only renames the memory: the float32 values would lie in an Int32Array. */
function cast(backend: NativeBackend, x: tf.TensorInfo, dtype: tf.DataType): tf.TensorInfo {
  const widens = x.dtype !== dtype && dtype !== 'complex64' && !tf.util.hasEncodingLoss(x.dtype, dtype);
  if (!widens) return stock(backend, tf.Cast, { x }, { dtype });
  return backend.makeTensorInfo(x.shape, dtype, backend.data.get(x.dataId).values);
}

function add(backend: NativeBackend, { a, b }: { a: tf.TensorInfo; b: tf.TensorInfo }): tf.TensorInfo {
  const same = a.dtype === 'float32' && b.dtype === 'float32' && tf.util.arraysEqual(a.shape, b.shape);
  if (!same) return stock(backend, tf.Add, { a, b });
  const sum = backend.floatOutput(a.shape);
  backend.kernels.add(sum.values, backend.activations(a), backend.activations(b), sum.values.length, false);
  return sum.info;
}

/** a [..., M, K] · b [..., K, N] (either transposed), the leading dimensions broadcast -> [..., M, N]. */
function matMul(backend: NativeBackend, inputs: Inputs, attrs: MatMulAttrs): tf.TensorInfo {
  const a = inputs.a!;
  const b = inputs.b!;
  const { transposeA, transposeB } = attrs;
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return stock(backend, tf.BatchMatMul, { a, b }, attrs);
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [bInner, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  tf.util.assert(
    k === bInner,
    () =>
      `Error in matMul: inner shapes (${k}) and (${bInner}) of shapes ${String(a.shape)} and ${String(b.shape)} must match.`,
  );
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const c = backend.floatOutput([...outer, m, n]);
  if (k === 0) backend.zero(c);
  else multiplyBatches(backend, { a, b }, c.values, outer, { m, k, n, ...attrs });
  return c.info;
}

/** One product per matrix of c; a and b repeat where they have fewer, as `outer` broadcasts them. */
function multiplyBatches(
  backend: NativeBackend,
  { a, b }: { a: tf.TensorInfo; b: tf.TensorInfo },
  c: Float32Array,
  outer: readonly number[],
  { m, k, n, transposeA, transposeB }: MatMulAttrs & { m: number; k: number; n: number },
): void {
  const matrices = (info: tf.TensorInfo, size: number) => {
    const values = backend.floats(info);
    const indices = broadcastIndices(info.shape.slice(0, -2), outer);
    return (batch: number) => values.subarray(indices[batch]! * size, (indices[batch]! + 1) * size);
  };
  const [left, right] = [matrices(a, m * k), matrices(b, k * n)];
  for (let batch = 0; batch * m * n < c.length; batch++) {
    const product = c.subarray(batch * m * n, (batch + 1) * m * n);
    backend.kernels.matmul(left(batch), right(batch), product, m, k, n, transposeA, transposeB);
  }
}

/** For each element of `outer`, in order, the index of the element of `shape` that is broadcast to it. */
function broadcastIndices(shape: readonly number[], outer: readonly number[]): number[] {
  return outer.reduce(
    (indices, size, dimension) => {
      const own = shape[dimension - outer.length + shape.length] ?? 1;
      return indices.flatMap((index) =>
        Array.from({ length: size }, (_, i) => index * own + (own === 1 ? 0 : i)),
      );
    },
    [0],
  );
}

const ACTIVATION_KERNELS: Record<string, string> = {
  relu: tf.Relu,
  relu6: tf.Relu6,
  elu: tf.Elu,
  sigmoid: tf.Sigmoid,
};

function activate(
  backend: NativeBackend,
  x: tf.TensorInfo,
  inputs: Inputs,
  { activation, leakyreluAlpha }: FusedMatMulAttrs,
): tf.TensorInfo {
  if (activation === 'prelu') return stock(backend, tf.Prelu, { x, alpha: inputs.preluActivationWeights! });
  if (activation === 'leakyrelu') return stock(backend, tf.LeakyRelu, { x }, { alpha: leakyreluAlpha! });
  const name = ACTIVATION_KERNELS[activation!];
  if (name === undefined) throw new Error(`_FusedMatMul: no activation is named ${activation}`);
  return stock(backend, name, { x });
}

function fusedMatMul(backend: NativeBackend, inputs: Inputs, attrs: FusedMatMulAttrs): tf.TensorInfo {
  let result = matMul(backend, inputs, attrs);
  const next = (step: (x: tf.TensorInfo) => tf.TensorInfo) => {
    const x = result;
    result = step(x);
    backend.disposeIntermediateTensorInfo(x);
  };
  // tfjs passes null for what is not there, whatever the types say.
  const bias = inputs.bias as tf.TensorInfo | null | undefined;
  if (bias) next((x) => add(backend, { a: x, b: bias }));
  if (attrs.activation && attrs.activation !== 'linear') next((x) => activate(backend, x, inputs, attrs));
  return result;
}

export function registerStandard(backendName: string): void {
  const standard = <Attrs>(
    name: string,
    run: (backend: NativeBackend, inputs: Inputs, attrs: Attrs) => tf.TensorInfo,
  ) => register<Attrs, NativeBackend>(backendName, name, run);
  standard<{ dtype: tf.DataType }>(tf.Cast, (backend, { x }, { dtype }) => cast(backend, x!, dtype));
  standard(tf.Add, (backend, { a, b }) => add(backend, { a: a!, b: b! }));
  standard<MatMulAttrs>(tf.BatchMatMul, matMul);
  standard<FusedMatMulAttrs>(tf._FusedMatMul, fusedMatMul);
}
