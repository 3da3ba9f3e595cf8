// The native engine on a CUDA device: the library of kernels, the device, and the backend over it.
import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { assert, messageOf, UserError } from '../../../util/errors.js';
import { packageRoot } from '../../../util/package.js';
import type { EngineOfBackend } from '../../engine.js';
import type { Addon, Arithmetic, CudaInfo } from '../addon.js';
import { register } from '../kernels/register.js';
import { registerFused } from '../kernels/fused.js';
import { Recorder } from '../recorder.js';
import { CudaBackend } from './backend.js';
import { deviceGradients } from './gradients.js';

const BACKEND_NAME = 'native-cuda';

/** The kernels that run on a card; tests choose those that run on the CPU. */
export const cudaLibrary = (): string =>
  process.env['LOCKSTEP_CUDA_LIBRARY'] ?? `${packageRoot}build/lockstep-cuda.so`;

/** How many devices the process may use; CUDA_VISIBLE_DEVICES chooses among them. Throws UserError CUDA_MISSING. */
export function countDevices(addon: Addon): number {
  const path = cudaLibrary();
  if (!existsSync(path)) {
    throw new UserError(
      'CUDA_MISSING',
      `the CUDA kernels ${path} are not there: install a CUDA toolkit (nvcc) of version 12 or 13 and run \`npm run setup\``,
    );
  }
  try {
    return addon.cuda.load(path);
  } catch (error) {
    throw new UserError('CUDA_MISSING', `the CUDA kernels ${path} do not load (${messageOf(error)})`, {
      cause: error,
    });
  }
}

let opened: { readonly index: number; readonly info: CudaInfo } | undefined;

/** Opens device `index`, once for the process. Throws UserError CUDA_MISSING, NO_SUCH_DEVICE. */
export function openDevice(addon: Addon, index: number): CudaInfo {
  const count = countDevices(addon);
  if (index >= count) {
    const there = count === 0 ? 'there is none' : `there are cuda:0 to cuda:${count - 1}`;
    throw new UserError(
      'NO_SUCH_DEVICE',
      `expected a CUDA device that this process may use, got cuda:${index}: ${there}`,
    );
  }
  assert(opened === undefined || opened.index === index, 'a process has one CUDA device');
  try {
    opened ??= { index, info: addon.cuda.open(index) };
  } catch (error) {
    throw new UserError('CUDA_MISSING', messageOf(error), { cause: error });
  }
  return opened.info;
}

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
    setThreads: () => undefined, // the device's are its own
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
