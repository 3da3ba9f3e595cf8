// What `lockstep doctor` tells of CUDA: whether the kernels were built, and on which devices they would run.
import { messageOf } from '../../../util/errors.js';
import type { Addon } from '../addon.js';
import { countDevices } from './device.js';

export interface CudaState {
  /** Devices that `--device cuda:N` can name. */
  readonly devices: number;
  /** Why there are none; null: there are. */
  readonly fault: string | null;
}

export function inspectCuda(addon: Addon): CudaState {
  try {
    const devices = countDevices(addon);
    if (devices === 0) {
      return { devices, fault: 'no device is visible, or its driver is older than the kernels' };
    }
    addon.cuda.productVersion();
    return { devices, fault: null };
  } catch (error) {
    return { devices: 0, fault: messageOf(error) };
  }
}
