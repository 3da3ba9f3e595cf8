// The library of CUDA kernels, and the devices that it finds.
import { existsSync } from 'node:fs';
import { assert, messageOf, UserError } from '../../../util/errors.js';
import { packageRoot } from '../../../util/package.js';
import type { Addon, CudaInfo } from '../addon.js';

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

/** Throws UserError CUDA_MISSING, NO_SUCH_DEVICE. */
export function expectDevice(addon: Addon, index: number): void {
  const count = countDevices(addon);
  if (index >= count) {
    const there = count === 0 ? 'there is none' : `there are cuda:0 to cuda:${count - 1}`;
    throw new UserError(
      'NO_SUCH_DEVICE',
      `expected a CUDA device that this process may use, got cuda:${index}: ${there}`,
    );
  }
}

let opened: { readonly index: number; readonly info: CudaInfo } | undefined;

/** Opens device `index`, once for the process. Throws UserError CUDA_MISSING, NO_SUCH_DEVICE. */
export function openDevice(addon: Addon, index: number): CudaInfo {
  expectDevice(addon, index);
  assert(opened === undefined || opened.index === index, 'a process has one CUDA device');
  try {
    opened ??= { index, info: addon.cuda.open(index) };
  } catch (error) {
    throw new UserError('CUDA_MISSING', messageOf(error), { cause: error });
  }
  return opened.info;
}
