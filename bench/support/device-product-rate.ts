// The rate of one large matrix product on the CUDA device whose backend is loaded, in the precision it was loaded with.
import * as tf from '@tensorflow/tfjs';
import { ActivationCode, PrecisionCode } from '../../src/engine/native/addon.js';
import type { CudaBackend } from '../../src/engine/native/cuda/backend.js';
import { median } from './statistics.js';
import type { ProductMeter } from './step-comparison.js';

const REPETITIONS = 10;

export class DeviceProductRate implements ProductMeter {
  private readonly backend = tf.backend() as CudaBackend;
  private readonly rates: number[] = [];

  /** @param size rows and columns of the matrices */
  constructor(private readonly size: number) {
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
    const [x, y] = [backend.output([n, n]), backend.output([n, n])];
    const w = backend.floatOutput([n, n]);
    for (const output of [x, w]) backend.zero(output);
    backend.addon.cuda.synchronise();
    const startedAt = performance.now();
    for (let i = 0; i < repetitions; i++) {
      const { none } = ActivationCode;
      backend.kernels.linear(
        ...([x.values, w.values, null, y.values, null, n, n, n, none, PrecisionCode.float32] as const),
      );
    }
    backend.addon.cuda.synchronise();
    const seconds = (performance.now() - startedAt) / 1000;
    for (const { info } of [x, y, w]) backend.disposeData(info.dataId);
    return (repetitions * 2 * n ** 3) / seconds;
  }
}
