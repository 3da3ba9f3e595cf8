// The rate of large matrix products on the CUDA device whose backend is loaded, in the precision it was loaded with: tall ones, of
// random numbers (a card multiplies zeros faster), so that rounding the weights is a hundredth of it at most.
import * as tf from '@tensorflow/tfjs';
import { ActivationCode, PrecisionCode } from '../../src/engine/native/addon.js';
import type { CudaBackend } from '../../src/engine/native/cuda/backend.js';
import { median } from './statistics.js';
import type { ProductMeter } from './step-comparison.js';

const REPETITIONS = 10;
/** Square matrices that stand one upon another in the left factor. */
const SQUARES = 8;

export class DeviceProductRate implements ProductMeter {
  readonly ceiling = 'one large matrix product';
  private readonly backend = tf.backend() as CudaBackend;
  private readonly rates: number[] = [];
  private readonly numbers: Float32Array;

  /** @param size rows and columns of the right factor */
  constructor(private readonly size: number) {
    this.numbers = Float32Array.from({ length: size * size }, () => Math.random() * 2 - 1);
    this.multiply(1); // chooses its algorithm
  }

  measure(): void {
    this.rates.push(this.multiply(REPETITIONS));
  }

  get flopsPerSecond(): number {
    return median(this.rates);
  }

  /** FLOP a second of so many products one after another. */
  private multiply(repetitions: number): number {
    const { size: n, backend } = this;
    const { cuda } = backend.addon;
    const m = SQUARES * n;
    const [x, y, w] = [
      backend.residualOutput([m, n]),
      backend.residualOutput([m, n]),
      backend.floatOutput([n, n]),
    ];
    cuda.upload(w.values.address, new Uint8Array(this.numbers.buffer));
    const isPacked = x.values.format === 'bfloat16';
    for (let square = 0; square < SQUARES; square++) {
      const address = x.values.address + square * n * n * (isPacked ? 2 : 4);
      cuda.convert(address, isPacked, w.values.address, false, n * n);
    }
    cuda.synchronise();
    const startedAt = performance.now();
    for (let i = 0; i < repetitions; i++) {
      const { none } = ActivationCode;
      backend.kernels.linear(
        ...([x.values, w.values, null, y.values, null, m, n, n, none, PrecisionCode.float32] as const),
      );
    }
    cuda.synchronise();
    const seconds = (performance.now() - startedAt) / 1000;
    for (const { info } of [x, y, w]) backend.disposeData(info.dataId);
    return (repetitions * 2 * m * n * n) / seconds;
  }
}
