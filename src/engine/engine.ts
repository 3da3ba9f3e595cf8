// The engine: the tfjs backend that the model runs on, and what of it the rest of the program may know.
import * as tf from '@tensorflow/tfjs';
import type { EngineChoice, EngineName } from './names.js';
import { assert, UserError } from '../util/errors.js';
import { type GradientMemory, hostGradients } from './gradient-memory.js';
import { type Addon, type Floats, PrecisionCode } from './native/addon.js';
import { NativeBackend } from './native/backend.js';
import { registerFused } from './native/kernels/fused.js';
import { registerStandard } from './native/kernels/standard.js';
import { loadAddon } from './native/load.js';
import { type PrecisionOptions, checkPrecision } from './precision.js';

const BACKEND_NAME = 'native';

/** The defaults: on the processor, in float32. */
export interface EngineOptions
  extends Partial<PrecisionOptions>, Partial<Pick<EngineChoice, 'device' | 'tf32'>> {
  readonly threads: number;
}

export interface EngineFingerprint {
  readonly engine: string;
  /** How products are computed: their precision, and with what if that is not our own. */
  readonly matmul: string;
  /** What of the machine they depend on: fused multiply-add or none; of others the device. */
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
  /** The values of a float32 tensor, valid until it is disposed; no copy where the engine computes in the host's memory. */
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
  /** The native kernels for flat vectors, whatever the engine: gradients, parameters and their wire formats. */
  readonly addon: Addon;
}

/**
 * Makes the engine tfjs's backend in this thread. It may be called again, also in other worker threads: the native
 * engine's threads belong to the process, and the last call sets their number.
 * Throws UserError ADDON_MISSING when the native addon was not built, TENSORFLOW_MISSING without TensorFlow,
 * PRECISION_UNSUPPORTED for bfloat16 that cannot be computed, CUDA_MISSING and NO_SUCH_DEVICE for a device that is not there.
 */
export async function loadEngine(name: EngineName, options: EngineOptions): Promise<Engine> {
  const addon = loadAddon();
  const { device = 'cpu', precision = 'float32', tf32 = false } = options;
  if (name === 'native' && device === 'cpu') return loadNative(addon, options);
  if (name === 'native') {
    const { loadCuda } = await import('./native/cuda/engine.js');
    const arithmetic = precision === 'float32' && tf32 ? 'tf32' : precision;
    return { name, addon, ...(await loadCuda(addon, Number(device.slice('cuda:'.length)), arithmetic)) };
  }
  if (options.precision === 'bfloat16') {
    throw new UserError('PRECISION_UNSUPPORTED', 'the tensorflow engine computes float32 only, not bfloat16');
  }
  const { loadTensorFlow } = await import('./tensorflow/engine.js');
  const engine = await loadTensorFlow(options.threads);
  return { name, addon, ...engine, memoryOf: engine.values, gradients: hostGradients(addon) };
}

async function loadNative(addon: Addon, options: EngineOptions): Promise<Engine> {
  const { threads, precision = 'float32', emulate = false } = options;
  checkPrecision({ precision, emulate }, addon.info());
  setThreads(addon, threads);
  registerBackend(addon);
  assert(await tf.setBackend(BACKEND_NAME), 'tfjs does not accept the native backend');
  const backend = tf.engine().findBackend(BACKEND_NAME) as NativeBackend;
  backend.precision = PrecisionCode[precision];
  return {
    name: 'native',
    fingerprint: {
      engine: 'native',
      matmul: precision,
      isa: addon.info().isa === 'sse2' ? 'sse2' : 'fma', // all others have the same bits
    },
    setThreads: (threads) => setThreads(addon, threads),
    view: (values, shape) => backend.view(values, shape),
    refresh: () => undefined,
    values: (tensor) => backend.floats(tensor),
    setGradientSlots: (slots: Iterable<readonly [tf.Tensor, Float32Array]>) =>
      backend.gradientSlots.set(slots),
    memoryOf: (tensor) => backend.floats(tensor),
    gradients: hostGradients(addon),
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
  registerStandard(BACKEND_NAME);
  registerFused(BACKEND_NAME);
}
