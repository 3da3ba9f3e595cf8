// What a CUDA backend keeps of a tensor: values on the host, on the device, or both. tfjs's own kernels, which are the cpu
// backend's, read `values` and so get a copy from the device; the fused kernels ask for device memory and so have values
// brought there. A training step does neither, but for its token ids and its loss.
import type * as tf from '@tensorflow/tfjs';
import type { DeviceCalls } from './calls.js';
import type { DeviceFloats, DeviceMemory, Format } from './memory.js';

export type HostValues = Parameters<tf.MathBackendCPU['write']>[0];

export class DeviceRecord {
  refCount = 1;
  /** As tfjs's storage has it, for tensors that refer to others (complex numbers). */
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  private readonly device = new Map<Format, DeviceFloats>();

  constructor(
    readonly dtype: tf.DataType,
    private readonly host: HostValues | null,
    private readonly calls: DeviceCalls,
    private readonly memory: DeviceMemory,
  ) {}

  /** Of values that a kernel writes on the device. */
  static on(device: DeviceFloats, calls: DeviceCalls, memory: DeviceMemory): DeviceRecord {
    const record = new DeviceRecord('float32', null, calls, memory);
    record.device.set(device.format, device);
    return record;
  }

  /** On the host: what was written there, or a copy of what lies on the device. */
  get values(): HostValues {
    this.calls.observer?.read();
    return this.unobserved();
  }

  /** Does not count as reading what was given: ids, which a repetition reads anew, and scalars, which are arguments like sizes. */
  unobserved(): HostValues {
    return this.host ?? this.calls.download([...this.device.values()][0]!);
  }

  /** In which the values lie on the device; undefined: they do not. */
  get format(): Format | undefined {
    return this.device.keys().next().value;
  }

  /** On the device in this format, brought there when it is not. */
  on(format: Format): DeviceFloats {
    const there = this.device.get(format);
    if (there) return there;
    const [other] = this.device.values();
    const made = this.memory.acquire(other?.length ?? (this.host as Float32Array).length, format);
    if (other) this.calls.convert(made, other);
    else this.upload(made);
    this.device.set(format, made);
    return made;
  }

  /** What the host's values are now is what the device shall see, and has there from now on. */
  refresh(): void {
    if (this.device.size === 0) {
      this.on('float32');
      return;
    }
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
    this.calls.upload(to, this.host as Float32Array | Int32Array);
  }
}
