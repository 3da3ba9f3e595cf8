// The native tfjs backend's storage. It is tfjs's cpu backend, whose kernels all work on it, with the results
// of our own kernels in memory that is used again. With products of bfloat16, what comes from a product or goes to one is
// stored in that format; the residual path, and all that tfjs's kernels make, is float32.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';
import { type Activations, type Addon, PrecisionCode, type QueuedKernels } from './addon.js';
import { type AllocatorStatistics, type CachingAllocator, hostAllocator } from './allocator.js';
import { CallQueue } from './call-queue.js';
import { GradientSlots } from './gradient-slots.js';
import type { GradientOutput, KernelBackend, Output } from './kernel-backend.js';
import { HostRecord, type Values } from './record.js';
import type { RecordedBackend } from './recorder.js';

/** A copy where values lie in another type's array: the cpu backend's kernels read any, ours only their own. */
function inOwnArray(values: Values, dtype: tf.DataType): Values {
  if (dtype === 'float32' && !(values instanceof Float32Array))
    return Float32Array.from(values as Int32Array);
  if (dtype === 'int32' && !(values instanceof Int32Array)) return Int32Array.from(values as Float32Array);
  return values;
}

export class NativeBackend extends tf.MathBackendCPU implements KernelBackend {
  readonly allocator: CachingAllocator<Float32Array>;
  readonly queue: CallQueue;
  readonly kernels: QueuedKernels;
  /** Memory that tensors are views of. */
  private readonly viewed = new WeakSet<ArrayBufferLike>();
  /** What the matrix products of our own kernels take; tfjs's plain ones always take float32. */
  precision: PrecisionCode = PrecisionCode.float32;
  readonly gradientSlots = new GradientSlots<Float32Array>({
    output: (shape) => this.floatOutput(shape),
    over: (values, shape) => {
      this.viewed.add(values.buffer);
      return this.write(values, [...shape], 'float32');
    },
    isAlive: (dataId) => this.data.has(dataId),
    incRef: (dataId) => this.incRef(dataId),
  });

  constructor(private readonly addon: Addon) {
    super();
    this.queue = new CallQueue(addon);
    this.kernels = this.queue.kernels;
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
    // Views of the caller's memory, and windows of them, are of what calls in the queue may still have to write.
    const isViewed = ArrayBuffer.isView(values) && this.viewed.has(values.buffer);
    this.record(dataId, values, isViewed, dtype, refCount);
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    const memory = this.data.has(dataId) ? this.recordOf(dataId).memory : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone && ArrayBuffer.isView(memory)) this.allocator.release(memory);
    return gone;
  }

  /** A tensor's values; a copy where the memory is ours, and would be used again after the tensor's end. */
  override readSync(dataId: tf.DataId): Values {
    const values = super.readSync(dataId);
    const { memory } = this.recordOf(dataId);
    const isOurs = ArrayBuffer.isView(memory) && this.allocator.owns(memory);
    return values instanceof Float32Array && isOurs ? values.slice() : values;
  }

  override async time(f: () => void): ReturnType<tf.MathBackendCPU['time']> {
    return super.time(() => {
      f();
      this.queue.run();
    });
  }

  override memory(): { unreliable: boolean; reasons: string[] } & AllocatorStatistics {
    return { unreliable: false, reasons: [], ...this.allocator.statistics() };
  }

  /** A new float32 tensor in our memory, its content undefined. */
  floatOutput(shape: readonly number[]): Output<Float32Array> {
    const values = this.acquire(tf.util.sizeFromShape([...shape]));
    return { info: this.made(values, shape), values };
  }

  residualOutput(shape: readonly number[]): Output<Float32Array> {
    return this.floatOutput(shape);
  }

  private get storesBfloat16(): boolean {
    return this.precision === PrecisionCode.bfloat16;
  }

  alike(a: tf.TensorInfo, b: tf.TensorInfo): boolean {
    return (this.halves(a.dataId) === undefined) === (this.halves(b.dataId) === undefined);
  }

  operandOutput(shape: readonly number[]): Output<Activations> {
    return this.storesBfloat16 ? this.bfloat16Output(shape) : this.floatOutput(shape);
  }

  asOperand(output: Output): { info: tf.TensorInfo; values: Uint16Array | null } {
    return this.storesBfloat16
      ? this.bfloat16Output(output.info.shape)
      : { info: this.share(output), values: null };
  }

  outputLike(info: tf.TensorInfo): Output<Activations> {
    return this.activations(info) instanceof Uint16Array
      ? this.bfloat16Output(info.shape)
      : this.floatOutput(info.shape);
  }

  private bfloat16Output(shape: readonly number[]): Output<Uint16Array> {
    const size = tf.util.sizeFromShape([...shape]);
    const values = new Uint16Array(this.acquire(Math.ceil(size / 2)).buffer, 0, size);
    return { info: this.made(values, shape), values };
  }

  private acquire(length: number): Float32Array {
    if (this.allocator.poison) this.queue.runUnobserved(); // calls that wait may still use the memory
    return this.allocator.acquire(length);
  }

  private made(memory: Float32Array | Uint16Array, shape: readonly number[]): tf.TensorInfo {
    const dataId = {};
    this.record(dataId, memory, true, 'float32', 1);
    return { dataId, shape: [...shape], dtype: 'float32' };
  }

  private record(
    dataId: tf.DataId,
    memory: HostRecord['memory'],
    isAwaited: boolean,
    dtype: tf.DataType,
    refCount: number,
  ): void {
    const record = new HostRecord(memory, this.queue, isAwaited, dtype, refCount, this.addon);
    this.data.set(dataId, record); // tfjs asks of it what that has
  }

  private recordOf(dataId: tf.DataId): HostRecord {
    const record: unknown = this.data.get(dataId);
    assert(record instanceof HostRecord, 'a tensor of another backend');
    return record;
  }

  private halves(dataId: tf.DataId): Uint16Array | undefined {
    const { memory } = this.recordOf(dataId);
    return memory instanceof Uint16Array ? memory : undefined;
  }

  zero({ values }: Output<Float32Array>): void {
    this.queue.push(() => values.fill(0));
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
    const scratch = this.acquire(length);
    try {
      use(scratch);
    } finally {
      this.allocator.release(scratch);
    }
  }

  activations(info: tf.TensorInfo): Activations {
    return (this.storesBfloat16 ? this.halves(info.dataId) : undefined) ?? this.floats(info);
  }

  operand(info: tf.TensorInfo): Activations {
    const values = this.activations(info);
    if (!this.storesBfloat16 || values instanceof Uint16Array) return values;
    const halves = new Uint16Array(values.length);
    this.kernels.packBfloat16(values, halves, halves.length);
    return halves;
  }

  residual(info: tf.TensorInfo): Float32Array {
    return this.floats(info);
  }

  scalar(info: tf.TensorInfo): number {
    return (this.recordOf(info.dataId).unobserved() as Float32Array)[0]!;
  }

  /** The memory of a float32 tensor, which calls in the queue may still have to write; a copy of what is stored as bfloat16. */
  floats(info: tf.TensorInfo): Float32Array {
    const record = this.recordOf(info.dataId);
    const values = record.memory instanceof Float32Array ? record.memory : record.values;
    assert(values instanceof Float32Array, `expected float32 values, got ${info.dtype}`);
    return values;
  }

  /** The same, written. */
  valuesOf(info: tf.TensorInfo): Float32Array {
    this.queue.run();
    return this.floats(info);
  }

  /** The memory of an int32 tensor, not a copy; the addon checks its values. */
  integers(info: tf.TensorInfo): Int32Array {
    const values = this.recordOf(info.dataId).memory;
    assert(values instanceof Int32Array, `expected int32 values, got ${info.dtype}`);
    return values;
  }

  /** A tensor over the caller's memory, which it never recycles; no scope of tfjs ends it, only dispose(). */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor {
    const size = tf.util.sizeFromShape([...shape]);
    assert(values.length === size, `view: expected ${size} values, got ${values.length}`);
    this.viewed.add(values.buffer);
    return tf.keep(tf.engine().makeTensor(values, [...shape], 'float32', this));
  }

  /** For a recorder. */
  recorded(): RecordedBackend {
    return {
      observe: (observer) => {
        this.queue.observer = observer;
        this.allocator.onHandOut = observer && ((block) => observer.took(block));
      },
      addon: this.addon,
      blocks: this.allocator,
      repeatKernels: (kernels, first, count) => this.queue.repeatKernels(kernels, first, count),
      settle: () => this.queue.run(),
      reader: (scalar) => {
        const memory = this.floats(scalar);
        return () => memory[0]!;
      },
    };
  }
}
