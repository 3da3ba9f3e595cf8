// Gradients on a CUDA device: summed there, and brought to the host beside the rest of the backward pass.
import { assert } from '../../../util/errors.js';
import type { GradientMemory } from '../../gradient-memory.js';
import type { CudaBackend } from './backend.js';
import { bytesOfHost } from './calls.js';
import { bytesOf, type DeviceFloats, partOf } from './memory.js';
import { pin } from './pinned.js';

export function deviceGradients(backend: CudaBackend): GradientMemory {
  const { memoryOfDevice } = backend;
  const { cuda } = backend.addon;
  const sources = new Map<ArrayBufferLike, DeviceFloats>();
  const underWay: (() => void)[] = []; // what to call, in the order of the copies
  let arrivals = cuda.fetched(true);

  const allocate = (elements: number): DeviceFloats => memoryOfDevice.acquire(elements, 'float32');
  const sourceOf = (host: Float32Array): DeviceFloats => {
    let source = sources.get(host.buffer);
    if (!source) {
      pin(cuda, host.buffer);
      source = allocate(host.length);
      sources.set(host.buffer, source);
    }
    return source;
  };
  return {
    allocate,
    sourceOf,
    part: partOf,
    copy(to: DeviceFloats, from: DeviceFloats) {
      if (to.address === from.address) return;
      assert(to.length === from.length, 'vectors of different lengths');
      cuda.convert(to.address, false, from.address, false, to.length);
    },
    zero: (vector: DeviceFloats) => cuda.zero(vector.address, bytesOf(vector)),
    add: (out, a, b, size, bfloat16) => backend.kernels.add(out, a, b, size, bfloat16),
    roundToBfloat16: (vector, size) => backend.kernels.roundToBfloat16(vector, size),
    deliver(host, start, end, arrived) {
      cuda.fetch(bytesOfHost(host.subarray(start, end)), partOf(sourceOf(host), start, end - start).address);
      underWay.push(arrived);
    },
    settle(wait) {
      if (underWay.length === 0) return;
      const all = cuda.fetched(wait);
      for (; arrivals < all; arrivals++) underWay.shift()!();
    },
  };
}
