// The engine: what the rest of the program may know of the tfjs backend that the model runs on.
import type * as tf from '@tensorflow/tfjs';
import type { GradientMemory } from './gradient-memory.js';
import type { EngineChoice } from './names.js';
import type { Addon, Floats } from './native/addon.js';
import type { PrecisionOptions } from './precision.js';
import type { Recording } from './recording.js';

/** The defaults: on the processor, in float32. */
export interface EngineOptions
  extends Partial<PrecisionOptions>, Partial<Pick<EngineChoice, 'device' | 'tf32'>> {
  /**
   * Of the process that compute, the caller's included. The native engine's results do not depend on it; TensorFlow keeps
   * the number that it was loaded with first, and takes no other.
   */
  readonly threads: number;
}

export interface EngineFingerprint {
  readonly engine: string;
  /** How products are computed: their precision, and with what if that is not our own. */
  readonly matmul: string;
  /** How products are added on a CPU: fma, sse2 (not fused) or amx; of other engines the device. */
  readonly isa: string;
}

export interface Engine {
  /** What must be equal for equal bits. */
  readonly fingerprint: EngineFingerprint;
  /**
   * A tensor over the caller's memory, which may lie on a SharedArrayBuffer. What is written to `values` later is seen
   * after refresh(), on the native engine at once, by what was not read before, too. tidy() does not end it; dispose()
   * does, and leaves the memory alone.
   */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor;
  /** Makes a view stand for what its memory holds now; a copy where the engine computes in other memory. */
  refresh(view: tf.Tensor): void;
  /**
   * The values of a float32 tensor, valid until it is disposed; no copy of parameters and gradients where the engine
   * computes in the host's memory.
   */
  values(tensor: tf.Tensor): Float32Array;
  /** The same where the engine holds them, for `gradients`. */
  memoryOf(tensor: tf.Tensor): Floats;
  /**
   * Lets kernels write the gradient of each tensor straight to its memory, until the next call: the reverse walk then hands out
   * tensors over that very memory, or over others where that was not possible.
   */
  setGradientSlots(slots: Iterable<readonly [tf.Tensor, Floats]>): void;
  /** Where gradients, and those slots, lie. */
  readonly gradients: GradientMemory;
  /** From now on notes what is asked of the engine. Undefined: it cannot do anything again. */
  readonly record?: () => Recording;
  /** The native kernels for flat vectors, whatever the engine: gradients, parameters and their wire formats. */
  readonly addon: Addon;
}

/** What a backend brings of it. */
export type EngineOfBackend = Omit<Engine, 'addon'>;
