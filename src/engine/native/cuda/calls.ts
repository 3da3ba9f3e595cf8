// What is asked of a CUDA device: its operations, and what brings values to it and moves them there. An observer hears of each.
import { type Addon, type Arithmetic, ArithmeticCode, type Kernels } from '../addon.js';
import type { CallObserver } from '../recorder.js';
import { wrapKernels } from '../wrap-kernels.js';
import { bytesOf, type DeviceFloats } from './memory.js';

export const bytesOfHost = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

export class DeviceCalls {
  observer: CallObserver | null = null;

  constructor(private readonly addon: Addon) {}

  operations(arithmetic: Arithmetic): Kernels {
    return wrapKernels(this.addon.cuda.operations(ArithmeticCode[arithmetic]), (operation) => (...given) => {
      const result = operation(...given);
      if (result === undefined) this.observer?.kernel(given);
      else this.observer?.read();
      return result;
    });
  }

  /** Values of the host, which are float32 or int32, in the format of `to`. */
  upload(to: DeviceFloats, values: Float32Array | Int32Array): void {
    const { cuda } = this.addon;
    this.make(() => {
      if (to.format === 'float32') return cuda.upload(to.address, bytesOfHost(values));
      const packed = new Uint16Array(values.length);
      this.addon.packBfloat16(values as Float32Array, packed, values.length);
      cuda.upload(to.address, bytesOfHost(packed));
    });
  }

  /** A float32 array of what lies on the device. */
  download(from: DeviceFloats): Float32Array {
    const { cuda } = this.addon;
    this.observer?.read();
    const values = new Float32Array(from.length);
    if (from.format === 'float32') cuda.download(bytesOfHost(values), from.address);
    else {
      const packed = new Uint16Array(from.length);
      cuda.download(bytesOfHost(packed), from.address);
      this.addon.unpackBfloat16(packed, values, values.length);
    }
    return values;
  }

  /** As many elements, each in the format of its side. */
  convert(to: DeviceFloats, from: DeviceFloats): void {
    const { cuda } = this.addon;
    this.make(() =>
      cuda.convert(
        ...([to.address, to.format === 'bfloat16', from.address, from.format === 'bfloat16'] as const),
        to.length,
      ),
    );
  }

  zero(values: DeviceFloats): void {
    this.make(() => this.addon.cuda.zero(values.address, bytesOf(values)));
  }

  /** out = a + b, all of one format and length. */
  sum(out: DeviceFloats, a: DeviceFloats, b: DeviceFloats): void {
    this.make(() =>
      this.addon.cuda.sum(out.address, a.address, b.address, out.length, out.format === 'bfloat16'),
    );
  }

  /** Makes a call now, and tells of it. */
  make<Result>(call: () => Result): Result {
    const result = call();
    this.observer?.asked(call);
    return result;
  }
}
