// The engine on TensorFlow: loads tfjs-node and gives its backend the fused kernels.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';
import type { EngineOfBackend } from '../engine.js';
import { Kernel } from '../kernels.js';
import { Views } from './backend.js';
import { registerAttention } from './kernels/attention.js';
import { registerCrossEntropy } from './kernels/cross-entropy.js';
import { registerEmbedding } from './kernels/embedding.js';
import { registerLinear } from './kernels/linear.js';
import { registerNorms } from './kernels/norm.js';
import { BACKEND_NAME, loadBackend } from './load.js';

/** How many threads TensorFlow was loaded with. */
let loadedThreads: number | undefined;

/** Throws UserError TENSORFLOW_MISSING. Gradients lie in the host's memory. */
export async function loadTensorFlow(
  threads: number,
): Promise<Omit<EngineOfBackend, 'memoryOf' | 'gradients'>> {
  // They are made when it is loaded.
  assert(
    loadedThreads === undefined || loadedThreads === threads,
    `TensorFlow was loaded with ${loadedThreads} threads in this process, and cannot change to ${threads}`,
  );
  const backend = loadBackend(threads);
  loadedThreads = threads;
  registerKernels();
  assert(await tf.setBackend(BACKEND_NAME), 'tfjs does not accept the tensorflow backend');
  const views = new Views(backend);
  const device = backend.isUsingGpuDevice ? 'GPU' : `CPU, ${threads} threads`;
  return {
    fingerprint: { engine: 'tensorflow', matmul: `TensorFlow ${backend.binding.TF_Version}`, isa: device },
    view: (values, shape) => views.create(values, shape),
    refresh: (view) => views.refresh(view),
    setGradientSlots: () => undefined, // its memory is not ours
    values: (tensor) => backend.readSync(tensor.dataId) as Float32Array,
  };
}

/** Once per thread. */
function registerKernels(): void {
  // The type says otherwise, but tfjs returns undefined for an unknown kernel.
  if (tf.getKernel(Kernel.linear, BACKEND_NAME) as unknown) return;
  registerLinear();
  registerAttention();
  registerNorms();
  registerEmbedding();
  registerCrossEntropy();
}
