// How a kernel made of TensorFlow's operations enters tfjs's registry.
import * as tf from '@tensorflow/tfjs';
import type { Inputs } from '../../kernels.js';
import type { NodeBackend } from '../backend.js';
import { BACKEND_NAME } from '../load.js';
import { Operations } from '../operations.js';

const operations = new WeakMap<object, Operations>();

function operationsOf(backend: NodeBackend): Operations {
  let found = operations.get(backend);
  if (found === undefined) operations.set(backend, (found = new Operations(backend)));
  return found;
}

/** Registers a kernel; what it makes on the way ends with it. */
export function register<Attrs>(
  name: string,
  run: (ops: Operations, inputs: Inputs, attrs: Attrs) => tf.Tensor | tf.Tensor[],
): void {
  tf.registerKernel({
    kernelName: name,
    backendName: BACKEND_NAME,
    kernelFunc: ({ inputs, backend, attrs }) =>
      tf.tidy(() => run(operationsOf(backend as NodeBackend), inputs as Inputs, attrs as Attrs)),
  });
}
