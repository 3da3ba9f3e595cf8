// The CUDA device that tests run on: the kernels emulated on the CPU, built here, unless LOCKSTEP_CUDA_LIBRARY names
// build/lockstep-cuda.so, which puts the same tests on a card.
import { packageRoot } from '../../../../src/util/package.js';
import {
  ArithmeticCode,
  type Addon,
  type Arithmetic,
  type CudaInfo,
} from '../../../../src/engine/native/addon.js';
import type { DeviceArray, Kernels } from '../../../../src/engine/native/addon.js';
import { loadAddon } from '../../../../src/engine/native/load.js';

interface Build {
  buildCuda: (options: { emulated: boolean }) => Promise<{ library: string } | null>;
}

/** The library's path, which the environment names from then on. */
export async function testLibrary(): Promise<string> {
  if (process.env['LOCKSTEP_CUDA_LIBRARY'] === undefined) {
    const { buildCuda } = (await import(`${packageRoot}scripts/cuda.mjs`)) as Build;
    process.env['LOCKSTEP_CUDA_LIBRARY'] = (await buildCuda({ emulated: true }))!.library;
  }
  return process.env['LOCKSTEP_CUDA_LIBRARY'];
}

/** Opens the device, before an engine is loaded on it. */
export async function openTestDevice(): Promise<{ addon: Addon; info: CudaInfo }> {
  await testLibrary();
  const { openDevice } = await import('../../../../src/engine/native/cuda/device.js');
  const addon = loadAddon();
  return { addon, info: openDevice(addon, 0) };
}

/** Arguments that are activations, by operation; the others are float32 (or ids). */
const ACTIVATIONS: Partial<Record<keyof Kernels, readonly number[]>> = {
  linear: [0, 3, 4],
  linearGradient: [0, 1, 3, 4],
  attention: [0, 1, 3],
  attentionGradient: [0, 1, 3, 5, 6, 7],
  addDropoutNorm: [0, 1, 4, 5],
  addDropoutNormGradient: [0, 1, 2, 3, 6, 7],
  embedding: [3],
  embeddingGradient: [0],
  crossEntropy: [0, 5],
  crossEntropyGradient: [0, 1, 4],
};

/** Those that stay on the host. */
const ON_HOST: Partial<Record<keyof Kernels, readonly number[]>> = { adamW: [5] };

type HostArray = Float32Array | Int32Array | Uint16Array;

const bytes = (values: HostArray) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** The device's operations over the host's arrays: each call brings all of them there and back. */
export function overHostArrays(addon: Addon, arithmetic: Arithmetic): Kernels {
  const { cuda } = addon;
  const operations = cuda.operations(ArithmeticCode[arithmetic]) as unknown as Record<
    string,
    (...given: unknown[]) => unknown
  >;
  const call = (name: string, given: readonly unknown[]): unknown => {
    const back: (() => void)[] = [];
    const there = new Map<ArrayBufferLike, DeviceArray>(); // an array given twice is one
    const move = (value: unknown, index: number): unknown => {
      if (!ArrayBuffer.isView(value) || ON_HOST[name as keyof Kernels]?.includes(index)) return value;
      const host = value as HostArray;
      const isPacked =
        arithmetic === 'bfloat16' && (ACTIVATIONS[name as keyof Kernels]?.includes(index) ?? false);
      const known = there.get(host.buffer);
      if (known && host.byteOffset === 0) return known;
      const packed = isPacked ? new Uint16Array(host.length) : host;
      if (isPacked) addon.packBfloat16(host as Float32Array, packed as Uint16Array, host.length);
      const address = cuda.allocate(Math.max(packed.byteLength, 16));
      cuda.upload(address, bytes(packed));
      back.push(() => {
        cuda.download(bytes(packed), address);
        cuda.release(address);
        if (isPacked) addon.unpackBfloat16(packed as Uint16Array, host as Float32Array, host.length);
      });
      const array = { address, length: host.length };
      if (host.byteOffset === 0) there.set(host.buffer, array);
      return array;
    };
    const result = operations[name]!(...given.map(move));
    for (const fetch of back) fetch();
    return result;
  };
  return new Proxy({} as Kernels, {
    get:
      (_, name: string) =>
      (...given: readonly unknown[]) =>
        call(name, given),
  });
}
