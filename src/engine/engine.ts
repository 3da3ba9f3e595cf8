// The engine: the tfjs backend that the model runs on, and what of it the rest of the program may know.
import * as tf from '@tensorflow/tfjs';
import type { EngineName } from './names.js';
import { assert, UserError } from '../util/errors.js';
import { type Addon, PrecisionCode } from './native/addon.js';
import { NativeBackend } from './native/backend.js';
import { registerAttention } from './native/kernels/attention.js';
import { registerCrossEntropy } from './native/kernels/cross-entropy.js';
import { registerEmbedding } from './native/kernels/embedding.js';
import { registerLinear } from './native/kernels/linear.js';
import { registerNorms } from './native/kernels/norm.js';
import { BACKEND_NAME } from './native/kernels/register.js';
import { registerStandard } from './native/kernels/standard.js';
import { loadAddon } from './native/load.js';
import { type PrecisionOptions, productPrecision } from './precision.js';

export interface EngineOptions extends Partial<PrecisionOptions> {
  readonly threads: number;
}

export interface EngineFingerprint {
  readonly engine: string;
  /** Library, version, and what it dispatches to. */
  readonly matmul: string;
  /** What the rest depends on: the instruction set of attention's products; of TensorFlow the device. */
  readonly isa: string;
}

export interface Engine {
  readonly name: EngineName;
  /** What must be equal for equal bits. */
  readonly fingerprint: EngineFingerprint;
  /**
   * Threads of the process that compute, this one included. The native engine's results do not depend on it;
   * TensorFlow keeps the number that it was loaded with and takes no other.
   */
  setThreads(threads: number): void;
  /**
   * A tensor over the caller's memory, which may lie on a SharedArrayBuffer. What is written to `values` later is seen
   * after refresh(), on the native engine at once. tidy() does not end it; dispose() does, and leaves the memory alone.
   */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor;
  /** Makes a view stand for what its memory holds now; a copy where the engine computes in other memory. */
  refresh(view: tf.Tensor): void;
  /** The values of a float32 tensor, valid until it is disposed: the native engine's own memory, no copy. */
  values(tensor: tf.Tensor): Float32Array;
  /**
   * Lets kernels write the gradient of each tensor straight to its memory, until the next call: the reverse walk then hands out
   * tensors over that very memory, or over others where that was not possible.
   */
  setGradientSlots(slots: Iterable<readonly [tf.Tensor, Float32Array]>): void;
  /** The native kernels for flat vectors, whatever the engine: gradients, parameters and their wire formats. */
  readonly addon: Addon;
}

/**
 * Makes the engine tfjs's backend in this thread. It may be called again, also in other worker threads: the native
 * engine's threads belong to the process, and the last call sets their number.
 * Throws UserError ADDON_MISSING when the native addon was not built, TENSORFLOW_MISSING without TensorFlow,
 * PRECISION_UNSUPPORTED for bfloat16 that cannot be computed.
 */
export async function loadEngine(name: EngineName, options: EngineOptions): Promise<Engine> {
  const addon = loadAddon();
  if (name === 'native') return loadNative(addon, options);
  if (options.precision === 'bfloat16') {
    throw new UserError('PRECISION_UNSUPPORTED', 'the tensorflow engine computes float32 only, not bfloat16');
  }
  const { loadTensorFlow } = await import('./tensorflow/engine.js');
  return { name, addon, ...(await loadTensorFlow(options.threads)) };
}

async function loadNative(addon: Addon, options: EngineOptions): Promise<Engine> {
  const { threads, precision: wanted = 'float32', emulate = false } = options;
  const precision = productPrecision({ precision: wanted, emulate }, addon.info());
  setThreads(addon, threads);
  registerBackend(addon);
  assert(await tf.setBackend(BACKEND_NAME), 'tfjs does not accept the native backend');
  const backend = tf.engine().findBackend(BACKEND_NAME) as NativeBackend;
  backend.precision = PrecisionCode[precision];
  const { isa, matmul, oneDnnVersion, matmulIsa } = addon.info();
  const suffix = precision === 'float32' ? '' : precision;
  return {
    name: 'native',
    fingerprint: {
      engine: 'native',
      matmul: [matmul, oneDnnVersion, matmulIsa, suffix].filter(Boolean).join(' '),
      isa,
    },
    setThreads: (threads) => setThreads(addon, threads),
    view: (values, shape) => backend.view(values, shape),
    refresh: () => undefined,
    values: (tensor) => backend.floats(tensor),
    setGradientSlots: (slots) => backend.setGradientSlots(slots),
    addon,
  };
}

function setThreads(addon: Addon, threads: number): void {
  assert(Number.isInteger(threads) && threads >= 1, `expected 1 thread or more, got ${threads}`);
  addon.setThreads(threads);
}

/** Once per thread: the cpu backend's kernels first, then ours, some in the place of those. */
function registerBackend(addon: Addon): void {
  const registered = tf.engine().findBackendFactory(BACKEND_NAME) as unknown;
  if (registered !== null) return;
  tf.registerBackend(BACKEND_NAME, () => new NativeBackend(addon));
  tf.copyRegisteredKernels('cpu', BACKEND_NAME);
  registerStandard();
  registerLinear();
  registerAttention();
  registerNorms();
  registerEmbedding();
  registerCrossEntropy();
}
