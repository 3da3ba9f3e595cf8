// The native tfjs backend's storage. It is tfjs's cpu backend, whose kernels all work on it, with the results
// of our own kernels in memory that is used again. With products of bfloat16, what comes from a product or goes to one is
// stored in that format; the residual path, and all that tfjs's kernels make, is float32.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';
import { type Activations, type Addon, type Kernels, PrecisionCode } from './addon.js';
import { type AllocatorStatistics, type CachingAllocator, hostAllocator } from './allocator.js';
import { GradientSlots } from './gradient-slots.js';
import { Bfloat16Record } from './bfloat16-record.js';
import type { GradientOutput, KernelBackend, Output } from './kernel-backend.js';

type Values = Parameters<tf.MathBackendCPU['write']>[0];

/** A copy where values lie in another type's array: the cpu backend's kernels read any, ours only their own. */
function inOwnArray(values: Values, dtype: tf.DataType): Values {
  if (dtype === 'float32' && !(values instanceof Float32Array))
    return Float32Array.from(values as Int32Array);
  if (dtype === 'int32' && !(values instanceof Int32Array)) return Int32Array.from(values as Float32Array);
  return values;
}

export class NativeBackend extends tf.MathBackendCPU implements KernelBackend {
  readonly allocator: CachingAllocator<Float32Array>;
  readonly kernels: Kernels;
  /** What the matrix products of our own kernels take; tfjs's plain ones always take float32. */
  precision: PrecisionCode = PrecisionCode.float32;
  readonly gradientSlots = new GradientSlots<Float32Array>({
    output: (shape) => this.output(shape),
    over: (values, shape) => this.write(values, [...shape], 'float32'),
    isAlive: (dataId) => this.data.has(dataId),
    incRef: (dataId) => this.incRef(dataId),
  });

  constructor(addon: Addon) {
    super();
    this.kernels = addon;
    this.allocator = hostAllocator((bytes) => addon.allocate(bytes));
  }

  /** Stores values without a copy, as the cpu backend does (and without the hint that it prints). */
  override write(values: Values, shape: number[], dtype: tf.DataType): tf.DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: tf.DataId,
    given: Values,
    _shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    const values = inOwnArray(given, dtype);
    // Without values it is a complex tensor, which only refers to its parts.
    if (ArrayBuffer.isView(values)) this.allocator.retain(values);
    this.data.set(dataId, { values, dtype, refCount });
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    const memory = this.data.has(dataId) ? (this.halves(dataId) ?? this.data.get(dataId).values) : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone && ArrayBuffer.isView(memory)) this.allocator.release(memory);
    return gone;
  }

  /** A tensor's values; a copy where the memory is ours, and would be used again after the tensor's end. */
  override readSync(dataId: tf.DataId): Values {
    const values = super.readSync(dataId);
    const isOurs = this.halves(dataId) !== undefined || this.allocator.owns(values as Float32Array);
    return values instanceof Float32Array && isOurs ? values.slice() : values;
  }

  override memory(): { unreliable: boolean; reasons: string[] } & AllocatorStatistics {
    return { unreliable: false, reasons: [], ...this.allocator.statistics() };
  }

  /** A new float32 tensor in our memory, its content undefined. */
  output(shape: readonly number[]): Output<Float32Array> {
    const values = this.allocator.acquire(tf.util.sizeFromShape([...shape]));
    const dataId = {};
    this.data.set(dataId, { values, dtype: 'float32', refCount: 1 });
    return { info: { dataId, shape: [...shape], dtype: 'float32' }, values };
  }

  residualOutput(shape: readonly number[]): Output<Float32Array> {
    return this.output(shape);
  }

  floatOutput(shape: readonly number[]): Output<Float32Array> {
    return this.output(shape);
  }

  private get multipliesBfloat16(): boolean {
    return this.precision === PrecisionCode.bfloat16;
  }

  alike(a: tf.TensorInfo, b: tf.TensorInfo): boolean {
    return (this.halves(a.dataId) === undefined) === (this.halves(b.dataId) === undefined);
  }

  operandOutput(shape: readonly number[]): Output<Activations> {
    return this.multipliesBfloat16 ? this.bfloat16Output(shape) : this.output(shape);
  }

  outputLike(info: tf.TensorInfo): Output<Activations> {
    return this.activations(info) instanceof Uint16Array
      ? this.bfloat16Output(info.shape)
      : this.output(info.shape);
  }

  private bfloat16Output(shape: readonly number[]): Output<Uint16Array> {
    const size = tf.util.sizeFromShape([...shape]);
    const values = new Uint16Array(this.allocator.acquire(Math.ceil(size / 2)).buffer, 0, size);
    const dataId = {};
    this.data.set(dataId, new Bfloat16Record(values, this.kernels)); // tfjs asks of it what that has
    return { info: { dataId, shape: [...shape], dtype: 'float32' }, values };
  }

  private halves(dataId: tf.DataId): Uint16Array | undefined {
    const record: unknown = this.data.get(dataId);
    return record instanceof Bfloat16Record ? record.halves : undefined;
  }

  zero({ values }: Output<Float32Array>): void {
    values.fill(0);
  }

  gradientOutput(parameter: tf.TensorInfo): GradientOutput<Float32Array> {
    return this.gradientSlots.output(parameter);
  }

  firstGradientOutput(parameter: tf.TensorInfo): Output<Float32Array> {
    return this.gradientSlots.firstOutput(parameter);
  }

  /** A second tensor over the same memory. */
  share({ info }: Pick<Output, 'info'>): tf.TensorInfo {
    this.incRef(info.dataId);
    return { ...info };
  }

  /** Memory for the time of `use`. */
  withScratch(length: number, use: (scratch: Float32Array) => void): void {
    const scratch = this.allocator.acquire(length);
    try {
      use(scratch);
    } finally {
      this.allocator.release(scratch);
    }
  }

  activations(info: tf.TensorInfo): Activations {
    return (this.multipliesBfloat16 ? this.halves(info.dataId) : undefined) ?? this.floats(info);
  }

  operand(info: tf.TensorInfo): Activations {
    const values = this.activations(info);
    if (!this.multipliesBfloat16 || values instanceof Uint16Array) return values;
    const halves = new Uint16Array(values.length);
    this.kernels.packBfloat16(values, halves, halves.length);
    return halves;
  }

  residual(info: tf.TensorInfo): Float32Array {
    return this.floats(info);
  }

  scalar(info: tf.TensorInfo): number {
    return this.floats(info)[0]!;
  }

  /** The memory of a float32 tensor, not a copy. */
  floats(info: tf.TensorInfo): Float32Array {
    const values = this.data.get(info.dataId).values;
    assert(values instanceof Float32Array, `expected float32 values, got ${info.dtype}`);
    return values;
  }

  /** The memory of an int32 tensor, not a copy; the addon checks its values. */
  integers(info: tf.TensorInfo): Int32Array {
    const values = this.data.get(info.dataId).values;
    assert(values instanceof Int32Array, `expected int32 values, got ${info.dtype}`);
    return values;
  }

  /** A tensor over the caller's memory, which it never recycles; no scope of tfjs ends it, only dispose(). */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor {
    const size = tf.util.sizeFromShape([...shape]);
    assert(values.length === size, `view: expected ${size} values, got ${values.length}`);
    return tf.keep(tf.engine().makeTensor(values, [...shape], 'float32', this));
  }
}
