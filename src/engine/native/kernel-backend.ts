// What the fused kernels need of a backend: where tensors' values lie, and memory for results. The host's backend is
// backend.ts, that of a CUDA device cuda/backend.ts.
import type * as tf from '@tensorflow/tfjs';
import type { Activations, Floats, Ints, PrecisionCode, QueuedKernels } from './addon.js';

/** A result of a kernel, and the memory to write it to. */
export interface Output<F extends Activations = Floats> {
  readonly info: tf.TensorInfo;
  readonly values: F;
}

export type GradientOutput<F extends Floats = Floats> = Output<F> & {
  /** Memory that holds a gradient already, to which this one must be added. */
  readonly accumulate: boolean;
};

export interface KernelBackend {
  /** Whose calls may wait; they run in the order in which they come. */
  readonly kernels: QueuedKernels;
  /** What the host's matrix products take; a device's operations know it themselves. */
  readonly precision: PrecisionCode;

  // Activations have the format of products where they come from one or go to one, and the residual path's elsewhere. A
  // gradient has the format of what it is the gradient of.

  /** The memory of activations in the format that they are stored in, unless products cannot take that. Not a copy. */
  activations(info: tf.TensorInfo): Activations;
  /** The same in the format of products, to which it is converted where it is stored in another. */
  operand(info: tf.TensorInfo): Activations;
  /** The memory of what flows along the residual path, in the backend's format for that. */
  residual(info: tf.TensorInfo): Floats;
  /** The memory of a tensor that is float32 everywhere: parameters, sums, statistics. Not a copy. */
  floats(info: tf.TensorInfo): Floats;
  /** The memory of an int32 tensor, whose values lie in [0, limit). Not a copy. */
  integers(info: tf.TensorInfo, limit: number): Ints;
  /** A float32 tensor's only value, on the host. */
  scalar(info: tf.TensorInfo): number;

  /** New activations of the residual path, their content undefined. */
  residualOutput(shape: readonly number[]): Output;
  /** New activations that come from a product, or go to one, in the format of products. */
  operandOutput(shape: readonly number[]): Output<Activations>;
  /** A second tensor of the same activations, in the format of products: over the same memory (and no room) if that is theirs. */
  asOperand(output: Output): { readonly info: tf.TensorInfo; readonly values: Activations | null };
  /** Room for the gradient of `info`, in the same format. */
  outputLike(info: tf.TensorInfo): Output<Activations>;
  /** A new float32 tensor, its content undefined. */
  floatOutput(shape: readonly number[]): Output;
  zero(output: Output): void;
  /** Whether both are stored in one format. */
  alike(a: tf.TensorInfo, b: tf.TensorInfo): boolean;
  /** Ends what a kernel made for itself alone. */
  disposeData(dataId: tf.DataId): boolean;
  /** A second tensor over the same memory. */
  share(output: Pick<Output, 'info'>): tf.TensorInfo;
  /** Memory for `length` activations, for the time of `use`. */
  withScratch(length: number, use: (scratch: Floats) => void): void;

  /** The output for a gradient of `parameter`: in the memory that setGradientSlots gave it, if any. */
  gradientOutput(parameter: tf.TensorInfo): GradientOutput;
  /** The same for a kernel that cannot add: only the first gradient goes there, the reverse walk adds the others. */
  firstGradientOutput(parameter: tf.TensorInfo): Output;
}
