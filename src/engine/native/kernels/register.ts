// How a kernel of ours takes its place in tfjs's registry.
import * as tf from '@tensorflow/tfjs';
import type { Inputs } from '../../kernels.js';
import type { KernelBackend } from '../kernel-backend.js';

/** Registers a kernel, in place of the one of that name copied from the cpu backend. */
export function register<Attrs, Backend = KernelBackend>(
  backendName: string,
  name: string,
  run: (backend: Backend, inputs: Inputs, attrs: Attrs) => tf.TensorInfo | tf.TensorInfo[],
): void {
  // The type says otherwise, but tfjs returns undefined for an unknown kernel.
  if (tf.getKernel(name, backendName) as unknown) tf.unregisterKernel(name, backendName);
  tf.registerKernel({
    kernelName: name,
    backendName,
    kernelFunc: ({ inputs, backend, attrs }) => run(backend as Backend, inputs as Inputs, attrs as Attrs),
  });
}

/** Number of rows of a tensor seen as a matrix of rows along its last dimension. */
export function rowsOf(info: tf.TensorInfo): number {
  return tf.util.sizeFromShape(info.shape.slice(0, -1));
}

/** The size of the last dimension. */
export function widthOf(info: tf.TensorInfo): number {
  return info.shape[info.shape.length - 1]!;
}
