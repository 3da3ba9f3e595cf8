// The native engine on a CUDA device: the backend over it.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../../util/errors.js';
import type { EngineOfBackend } from '../../engine.js';
import type { Addon, Arithmetic, CudaInfo } from '../addon.js';
import { register } from '../kernels/register.js';
import { registerFused } from '../kernels/fused.js';
import { Recorder } from '../recorder.js';
import { CudaBackend } from './backend.js';
import { openDevice } from './device.js';
import { deviceGradients } from './gradients.js';

const BACKEND_NAME = 'native-cuda';

/** "13.0" of 13000. */
function version(number: number): string {
  return `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
}

/** Throws UserError CUDA_MISSING, NO_SUCH_DEVICE. */
export async function loadCuda(
  addon: Addon,
  index: number,
  arithmetic: Arithmetic,
): Promise<EngineOfBackend> {
  const info = openDevice(addon, index);
  registerBackend(addon, info);
  assert(await tf.setBackend(BACKEND_NAME), 'tfjs does not accept the CUDA backend');
  const backend = tf.engine().findBackend(BACKEND_NAME) as CudaBackend;
  backend.setArithmetic(arithmetic);
  return {
    fingerprint: {
      engine: 'native-cuda',
      matmul: `cuBLASLt ${info.productVersion} ${arithmetic}`,
      isa: `${info.architecture} ${info.name}, CUDA ${version(info.runtimeVersion)}`,
    },
    view: (values, shape) => backend.view(values, shape),
    refresh: (view) => backend.refresh(view),
    values: (tensor) => backend.readSync(tensor.dataId) as Float32Array,
    memoryOf: (tensor) => backend.floats(tensor),
    setGradientSlots: (slots: Parameters<typeof backend.gradientSlots.set>[0]) =>
      backend.gradientSlots.set(slots),
    gradients: deviceGradients(backend),
    record: () => new Recorder(backend.recorded()),
  };
}

/** Once per thread: tfjs's kernels on the host first, then ours on the device. */
function registerBackend(addon: Addon, info: CudaInfo): void {
  const registered = tf.engine().findBackendFactory(BACKEND_NAME) as unknown;
  if (registered !== null) return;
  tf.registerBackend(BACKEND_NAME, () => new CudaBackend(addon, info));
  tf.copyRegisteredKernels('cpu', BACKEND_NAME);
  const onHost = tf.getKernel(tf.Add, 'cpu').kernelFunc;
  register<object, CudaBackend>(
    BACKEND_NAME,
    tf.Add,
    (backend, { a, b }) =>
      backend.addOnDevice(a!, b!) ?? onHost({ inputs: { a: a!, b: b! }, attrs: {}, backend }),
  );
  registerFused(BACKEND_NAME);
}
