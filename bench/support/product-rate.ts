// The rate of a step's matrix products alone, by the library that the engine calls, on one thread: the ceiling of what a
// step can reach. They are cut into the engine's panels, and every operand is ready in memory.
import { type Addon, PrecisionCode } from '../../src/engine/native/addon.js';
import type { Precision } from '../../src/engine/names.js';
import { median } from './statistics.js';
import { linearFlops, linearShapes, type LinearShape, type StepWorkload } from './step-workload.js';

type Elements = Float32Array | Uint16Array;

/** A linear layer's products and their operands; shapes share their memory. */
interface Operands {
  readonly x: Elements; // [M, K]
  readonly w: Elements; // [N, K]
  readonly dz: Elements; // [M, N]
  readonly result: Float32Array;
}

/** Rows of a panel, as native/linear.cc and native/formats.h cut them. */
const TOKENS = 256;
const weightRows = (n: number): number => (n >= 1024 ? 256 : 128);

export class ProductRate {
  readonly ceiling = "the step's linear products alone, of one thread";
  private readonly shapes: readonly LinearShape[];
  private readonly operands: Operands;
  /** Per shape, of its three products, a value for each measurement. */
  private readonly seconds: number[][];

  constructor(
    private readonly addon: Addon,
    workload: StepWorkload,
    private readonly precision: Precision,
  ) {
    this.shapes = linearShapes(workload);
    this.seconds = this.shapes.map(() => []);
    const largest = (size: (shape: LinearShape) => number): Float32Array =>
      new Float32Array(addon.allocate(Math.max(...this.shapes.map(size)) * Float32Array.BYTES_PER_ELEMENT));
    this.operands = {
      x: this.operand(largest(({ m, k }) => m * k)),
      w: this.operand(largest(({ n, k }) => n * k)),
      dz: this.operand(largest(({ m, n }) => m * n)),
      result: largest(({ m, k, n }) => Math.max(m * n, m * k, n * k)),
    };
    for (const shape of this.shapes) this.multiply(shape); // warm: the library generates code for each shape
  }

  /** Once through all shapes. */
  measure(): void {
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

  /** y = x · wᵀ and dx = dz · w by panels of tokens, dw = dzᵀ · x by panels of the weight's rows. */
  private multiply({ m, k, n }: LinearShape): void {
    const { x, w, dz, result } = this.operands;
    const { elementary } = this.addon;
    const precision = PrecisionCode[this.precision];
    for (let first = 0; first < m; first += TOKENS) {
      const rows = Math.min(TOKENS, m - first);
      elementary.libraryProduct(x.subarray(first * k), w, result, rows, k, n, false, true, precision);
      elementary.libraryProduct(dz.subarray(first * n), w, result, rows, n, k, false, false, precision);
    }
    for (let first = 0; first < n; first += weightRows(n)) {
      const rows = Math.min(weightRows(n), n - first);
      elementary.libraryProduct(dz.subarray(first * m), x, result, rows, m, k, true, false, precision);
    }
  }

  private operand(values: Float32Array): Elements {
    fill(values);
    if (this.precision === 'float32') return values;
    const packed = new Uint16Array(this.addon.allocate(values.length * Uint16Array.BYTES_PER_ELEMENT));
    this.addon.packBfloat16(values, packed, values.length);
    return packed;
  }
}

/** Values in ±0.5 without a pattern that a product could profit from. */
function fill(values: Float32Array): void {
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    values[i] = state / 2 ** 32 - 0.5;
  }
}
