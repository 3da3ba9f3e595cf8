// What the host's backend keeps of a tensor. The fused kernels take its memory, which calls in the queue may not have written yet;
// tfjs's own kernels, which are the cpu backend's, read `values`: written, and float32 where bfloat16 is stored.
import type * as tf from '@tensorflow/tfjs';
import type { Addon } from './addon.js';
import type { CallQueue } from './call-queue.js';

export type Values = Parameters<tf.MathBackendCPU['write']>[0];

export class HostRecord {
  /** As tfjs's storage has it, for tensors that refer to others (complex numbers, which have no values of their own). */
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  private copy: Float32Array | null = null;

  constructor(
    readonly memory: Values | Uint16Array,
    private readonly queue: CallQueue,
    /** Whether calls of the queue may still have to write it. */
    private readonly isAwaited: boolean,
    readonly dtype: tf.DataType,
    public refCount: number,
    private readonly addon: Addon,
  ) {}

  get values(): Values {
    this.queue.observer?.read();
    const memory = this.unobserved();
    return memory instanceof Uint16Array ? (this.copy ??= this.widened(memory)) : memory;
  }

  /** Does not count as reading where no call has to write it: a scalar that was given is an argument like a size. */
  unobserved(): Values | Uint16Array {
    if (this.isAwaited) this.queue.run();
    return this.memory;
  }

  private widened(halves: Uint16Array): Float32Array {
    const values = new Float32Array(halves.length);
    this.addon.unpackBfloat16(halves, values, values.length);
    return values;
  }
}
