// Whether an engine can compute here, as far as that is seen without loading it.
import { UserError } from '../util/errors.js';
import type { EngineOptions } from './engine.js';
import type { EngineName } from './names.js';
import type { Addon } from './native/addon.js';
import { expectDevice } from './native/cuda/device.js';
import { loadAddon } from './native/load.js';
import { checkPrecision } from './precision.js';
import { expectPackage } from './tensorflow/package.js';

/**
 * The addon, which all engines need.
 * Throws UserError ADDON_MISSING when the native addon was not built, TENSORFLOW_MISSING without TensorFlow,
 * PRECISION_UNSUPPORTED for one that cannot be computed, CUDA_MISSING and NO_SUCH_DEVICE for a device that is not there.
 */
export function expectEngine(
  name: EngineName,
  { device = 'cpu', precision = 'float32', emulate = false }: Omit<EngineOptions, 'threads'>,
): Addon {
  const addon = loadAddon();
  if (name === 'tensorflow') {
    if (precision !== 'float32')
      throw unsupported(`the tensorflow engine computes float32 only, not ${precision}`);
    expectPackage();
  } else if (device === 'cpu') {
    checkPrecision({ precision, emulate }, addon.info());
  } else {
    if (precision !== 'float32' && precision !== 'bfloat16') {
      throw unsupported(
        `${device} does not compute precision: ${precision}, which is for processors with AMX: use float32 or bfloat16`,
      );
    }
    expectDevice(addon, cudaIndex(device));
  }
  return addon;
}

/** N of `cuda:N`. */
export function cudaIndex(device: `cuda:${number}`): number {
  return Number(device.slice('cuda:'.length));
}

function unsupported(message: string): UserError {
  return new UserError('PRECISION_UNSUPPORTED', message);
}
