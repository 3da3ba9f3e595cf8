// The engine: the tfjs backend that the model runs on, and what of it the rest of the program may know.
import type * as tf from '@tensorflow/tfjs';
import type { Addon } from './native/addon.js';

export interface EngineFingerprint {
  readonly engine: string;
  /** Library and version. */
  readonly matmul: string;
  /** The instruction set in force. */
  readonly isa: string;
}

export interface Engine {
  readonly name: 'native' | 'tensorflow';
  /** What must be equal for equal bits. */
  readonly fingerprint: EngineFingerprint;
  /** Threads of the process that compute, this one included. Results do not depend on it. */
  setThreads(threads: number): void;
  /**
   * A tensor over the caller's memory, no copy: later writes to `values` are seen. Values may lie on a
   * SharedArrayBuffer. tidy() does not end it; dispose() does, and leaves the memory alone.
   */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor;
  /** The memory of a float32 tensor, no copy: valid until the tensor is disposed, where dataSync() copies. */
  values(tensor: tf.Tensor): Float32Array;
  /** Kernels for flat vectors: gradients, parameters and their wire formats. */
  readonly addon: Addon;
}
