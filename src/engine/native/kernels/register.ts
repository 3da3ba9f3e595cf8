// How a kernel of ours takes its place in tfjs's registry.
import * as tf from '@tensorflow/tfjs';
import type { NativeBackend } from '../backend.js';

export const BACKEND_NAME = 'native';

/** A kernel's tensors by name. tfjs types them as perhaps missing: the ops have checked that they are there. */
export type Inputs = Readonly<Record<string, tf.TensorInfo>>;

/** Registers a kernel, in place of the one of that name copied from the cpu backend. */
export function register<Attrs>(
  name: string,
  run: (backend: NativeBackend, inputs: Inputs, attrs: Attrs) => tf.TensorInfo | tf.TensorInfo[],
): void {
  // The type says otherwise, but tfjs returns undefined for an unknown kernel.
  if (tf.getKernel(name, BACKEND_NAME) as unknown) tf.unregisterKernel(name, BACKEND_NAME);
  tf.registerKernel({
    kernelName: name,
    backendName: BACKEND_NAME,
    kernelFunc: ({ inputs, backend, attrs }) =>
      run(backend as NativeBackend, inputs as Inputs, attrs as Attrs),
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
