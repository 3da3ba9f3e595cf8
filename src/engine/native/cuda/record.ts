// What a CUDA backend keeps of a tensor: values on the host, on the device, or both. tfjs's own kernels, which are the cpu
// backend's, read `values` and so get a copy from the device; the fused kernels ask for device memory and so have values
// brought there. A training step does neither, but for its token ids and its loss.
import type * as tf from '@tensorflow/tfjs';
import type { Addon } from '../addon.js';
import { type DeviceFloats, type DeviceMemory, type Format } from './memory.js';

export type HostValues = Parameters<tf.MathBackendCPU['write']>[0];

export const bytesOfHost = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

export class DeviceRecord {
  refCount = 1;
  /** As tfjs's storage has it, for tensors that refer to others (complex numbers). */
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  private readonly device = new Map<Format, DeviceFloats>();

  constructor(
    readonly dtype: tf.DataType,
    private readonly host: HostValues | null,
    private readonly addon: Addon,
    private readonly memory: DeviceMemory,
  ) {}

  /** Of values that a kernel writes on the device. */
  static on(device: DeviceFloats, addon: Addon, memory: DeviceMemory): DeviceRecord {
    const record = new DeviceRecord('float32', null, addon, memory);
    record.device.set(device.format, device);
    return record;
  }

  /** On the host: what was written there, or a copy of what lies on the device. */
  get values(): HostValues {
    if (this.host !== null) return this.host;
    const [device] = this.device.values();
    const values = new Float32Array(device!.length);
    if (device!.format === 'float32') this.addon.cuda.download(bytesOfHost(values), device!.address);
    else {
      const packed = new Uint16Array(device!.length);
      this.addon.cuda.download(bytesOfHost(packed), device!.address);
      this.addon.unpackBfloat16(packed, values, values.length);
    }
    return values;
  }

  /** The one of which memory on the device holds the values, if any does. */
  get format(): Format | undefined {
    return this.device.keys().next().value;
  }

  /** On the device in this format, brought there when it is not. */
  on(format: Format): DeviceFloats {
    const there = this.device.get(format);
    if (there) return there;
    const [other] = this.device.values();
    const made = this.memory.acquire(other?.length ?? (this.host as Float32Array).length, format);
    if (other) this.convert(made, other);
    else this.upload(made);
    this.device.set(format, made);
    return made;
  }

  /** What the host's values are now is what the device shall see. */
  refresh(): void {
    for (const [format, device] of this.device) {
      if (format === 'float32') this.upload(device);
      else this.forget(format, device);
    }
  }

  dispose(): void {
    for (const [format, device] of this.device) this.forget(format, device);
  }

  private forget(format: Format, device: DeviceFloats): void {
    this.memory.release(device);
    this.device.delete(format);
  }

  private upload(to: DeviceFloats): void {
    const values = this.host as Float32Array | Int32Array;
    if (to.format === 'float32') this.addon.cuda.upload(to.address, bytesOfHost(values));
    else {
      const packed = new Uint16Array(values.length);
      this.addon.packBfloat16(values as Float32Array, packed, values.length);
      this.addon.cuda.upload(to.address, bytesOfHost(packed));
    }
  }

  private convert(to: DeviceFloats, from: DeviceFloats): void {
    this.addon.cuda.convert(
      ...([to.address, to.format === 'bfloat16', from.address, from.format === 'bfloat16'] as const),
      to.length,
    );
  }
}
