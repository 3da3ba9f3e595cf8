// Makes an engine tfjs's backend.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import { cudaIndex, expectEngine } from './available.js';
import type { Engine, EngineOfBackend, EngineOptions } from './engine.js';
import { hostGradients, queuedGradients } from './gradient-memory.js';
import type { EngineName, Precision } from './names.js';
import { type Addon, type Arithmetic, type InstructionSet, PrecisionCode } from './native/addon.js';
import { NativeBackend } from './native/backend.js';
import { registerFused } from './native/kernels/fused.js';
import { registerStandard } from './native/kernels/standard.js';
import { Recorder } from './native/recorder.js';

const BACKEND_NAME = 'native';

/**
 * Makes the engine tfjs's backend in this thread. It may be called again, also in other worker threads: the native
 * engine's threads belong to the process, and the last call sets their number, and the precision: engines that were loaded before are
 * not to be used any more.
 * Throws what expectEngine throws, and the same errors for what does not load.
 */
export async function loadEngine(name: EngineName, options: EngineOptions): Promise<Engine> {
  const addon = expectEngine(name, options);
  const { threads } = options;
  assert(Number.isInteger(threads) && threads >= 1, `expected 1 thread or more, got ${threads}`);
  const { device = 'cpu', precision = 'float32', tf32 = false } = options;
  if (name === 'tensorflow') {
    const { loadTensorFlow } = await import('./tensorflow/engine.js');
    const engine = await loadTensorFlow(threads);
    return { addon, ...engine, memoryOf: engine.values, gradients: hostGradients(addon) };
  }
  if (device === 'cpu') return { addon, ...(await loadNative(addon, options)) };
  const { loadCuda } = await import('./native/cuda/engine.js');
  const arithmetic = precision === 'float32' && tf32 ? 'tf32' : (precision as Arithmetic);
  return { addon, ...(await loadCuda(addon, cudaIndex(device), arithmetic)) };
}

async function loadNative(addon: Addon, options: EngineOptions): Promise<EngineOfBackend> {
  const { threads, precision = 'float32', emulate = false } = options;
  (tf.engine().registry['native'] as NativeBackend | undefined)?.queue.run(); // with what it was asked for
  // For the whole process, which may have computed for a run that wants the other.
  if (precision !== 'float32' && addon.info().best === 'amx') addon.setIsa(emulate ? 'avx512bf16' : 'amx');
  addon.setThreads(threads);
  registerBackend(addon);
  assert(await tf.setBackend(BACKEND_NAME), 'tfjs does not accept the native backend');
  const backend = tf.engine().findBackend(BACKEND_NAME) as NativeBackend;
  backend.precision = PrecisionCode[precision];
  return {
    fingerprint: {
      engine: 'native',
      matmul: precision,
      isa: arithmeticOf(addon.info().isa, precision),
    },
    view: (values, shape) => backend.view(values, shape),
    refresh: () => undefined,
    values: (tensor) => backend.valuesOf(tensor),
    setGradientSlots(slots: Iterable<readonly [tf.Tensor, Float32Array]>) {
      backend.queue.run(); // what an abandoned step left would be written to memory that another step has now
      backend.gradientSlots.set(slots);
    },
    memoryOf: (tensor) => backend.floats(tensor),
    gradients: queuedGradients(backend),
    record: () => new Recorder(backend.recorded()),
  };
}

/** How the terms of a product are added. */
function arithmeticOf(isa: InstructionSet, precision: Precision): string {
  if (isa === 'sse2') return 'sse2';
  return isa === 'amx' && precision !== 'float32' ? 'amx' : 'fma';
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
