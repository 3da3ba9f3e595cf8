// The rate of a step's matrix products alone, by the addon, on one thread: a ceiling for what a step can reach.
import type { Addon } from '../../src/engine/native/addon.js';
import { median } from './statistics.js';
import { linearFlops, linearShapes, type LinearShape, type StepWorkload } from './step-workload.js';

/** A linear layer's products and their operands, [M, K] · [N, K]ᵀ; shapes share their memory. */
interface Operands {
  readonly x: Float32Array; // [M, K]
  readonly w: Float32Array; // [N, K]
  readonly z: Float32Array; // [M, N]: y, and later dz
  readonly dx: Float32Array; // [M, K]
  readonly dw: Float32Array; // [N, K]
}

export class ProductRate {
  private readonly shapes: readonly LinearShape[];
  private readonly operands: Operands;
  /** Per shape, of its three products, a value for each measurement. */
  private readonly seconds: number[][];

  constructor(
    private readonly addon: Addon,
    workload: StepWorkload,
  ) {
    this.shapes = linearShapes(workload);
    this.seconds = this.shapes.map(() => []);
    const largest = (size: (shape: LinearShape) => number): Float32Array =>
      new Float32Array(addon.allocate(Math.max(...this.shapes.map(size)) * Float32Array.BYTES_PER_ELEMENT));
    this.operands = {
      x: fill(largest(({ m, k }) => m * k)),
      w: fill(largest(({ n, k }) => n * k)),
      z: largest(({ m, n }) => m * n),
      dx: largest(({ m, k }) => m * k),
      dw: largest(({ n, k }) => n * k),
    };
    for (const shape of this.shapes) this.multiply(shape); // warm: the library generates code for each shape
  }

  /** Once through all shapes. The pool of threads is the process's: it is left at one. */
  measure(): void {
    this.addon.setThreads(1);
    this.shapes.forEach((shape, i) => {
      const startedAt = performance.now();
      this.multiply(shape);
      this.seconds[i]!.push((performance.now() - startedAt) / 1000);
    });
  }

  /** FLOP a second over the linear layers' products of a step, each shape with its share of them. */
  get flopsPerSecond(): number {
    const flops = this.shapes.reduce((sum, shape) => sum + linearFlops(shape), 0);
    const seconds = this.shapes.reduce((sum, { count }, i) => sum + count * median(this.seconds[i]!), 0);
    return flops / seconds;
  }

  private multiply({ m, k, n }: LinearShape): void {
    const { x, w, z, dx, dw } = this.operands;
    this.addon.linear(x, w, null, z, null, m, k, n, 0);
    this.addon.linearInputGradient(z, w, dx, m, k, n);
    this.addon.linearWeightGradient(z, x, dw, null, m, k, n, false);
  }
}

/** Values in ±0.5 without a pattern that a product could profit from. */
function fill(values: Float32Array): Float32Array {
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    values[i] = state / 2 ** 32 - 0.5;
  }
  return values;
}
