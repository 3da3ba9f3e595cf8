// The native tfjs backend's storage. It is tfjs's cpu backend, whose kernels all work on it, with the results
// of our own kernels in memory that is used again.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';
import { type Addon, PrecisionCode } from './addon.js';
import { type AllocatorStatistics, CachingAllocator } from './allocator.js';

type Values = Parameters<tf.MathBackendCPU['write']>[0];

/** A copy where values lie in another type's array: the cpu backend's kernels read any, ours only their own. */
function inOwnArray(values: Values, dtype: tf.DataType): Values {
  if (dtype === 'float32' && !(values instanceof Float32Array))
    return Float32Array.from(values as Int32Array);
  if (dtype === 'int32' && !(values instanceof Int32Array)) return Int32Array.from(values as Float32Array);
  return values;
}

/** A result of a kernel, and the memory to write it to. */
export interface Output {
  readonly info: tf.TensorInfo;
  readonly values: Float32Array;
}

/** Where a parameter's gradient belongs, and the tensor data that stands for it once something was written there. */
interface GradientSlot {
  readonly values: Float32Array;
  dataId: tf.DataId | null;
}

export class NativeBackend extends tf.MathBackendCPU {
  readonly allocator: CachingAllocator;
  /** What the matrix products of our own kernels take; tfjs's plain ones always take float32. */
  precision: PrecisionCode = PrecisionCode.float32;
  private gradientSlots = new Map<tf.DataId, GradientSlot>();

  constructor(readonly addon: Addon) {
    super();
    this.allocator = new CachingAllocator((bytes) => addon.allocate(bytes));
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
    const values = this.data.has(dataId) ? this.data.get(dataId).values : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone && ArrayBuffer.isView(values)) this.allocator.release(values);
    return gone;
  }

  /** A tensor's values; a copy where the memory would be used again after the tensor's end. */
  override readSync(dataId: tf.DataId): Values {
    const values = super.readSync(dataId);
    return values instanceof Float32Array && this.allocator.owns(values) ? values.slice() : values;
  }

  override memory(): { unreliable: boolean; reasons: string[] } & AllocatorStatistics {
    return { unreliable: false, reasons: [], ...this.allocator.statistics() };
  }

  /** A new float32 tensor in our memory, its content undefined. */
  output(shape: readonly number[]): Output {
    const values = this.allocator.acquire(tf.util.sizeFromShape([...shape]));
    const dataId = {};
    this.data.set(dataId, { values, dtype: 'float32', refCount: 1 });
    return { info: { dataId, shape: [...shape], dtype: 'float32' }, values };
  }

  /** From now on gradients of these parameters are written to (or added in) the caller's memory. */
  setGradientSlots(slots: Iterable<readonly [tf.Tensor, Float32Array]>): void {
    this.gradientSlots = new Map();
    for (const [{ dataId }, values] of slots) this.gradientSlots.set(dataId, { values, dataId: null });
  }

  /**
   * The output for a gradient of `parameter`: in its slot, when it has one. A second gradient of the same parameter shares the
   * first one's tensor data, and `accumulate` says that it must be added there.
   */
  gradientOutput({ dataId, shape }: tf.TensorInfo): Output & { readonly accumulate: boolean } {
    const slot = this.gradientSlots.get(dataId);
    if (!slot) return { ...this.output(shape), accumulate: false };
    const { values } = slot;
    const accumulate = slot.dataId !== null && this.data.has(slot.dataId);
    if (accumulate) this.incRef(slot.dataId!);
    else slot.dataId = this.write(values, shape, 'float32');
    return { info: { dataId: slot.dataId!, shape, dtype: 'float32' }, values, accumulate };
  }

  /** The same for a kernel that cannot add: only the first gradient goes to the slot, the reverse walk adds the others. */
  firstGradientOutput(parameter: tf.TensorInfo): Output {
    const slot = this.gradientSlots.get(parameter.dataId);
    return slot?.dataId === null ? this.gradientOutput(parameter) : this.output(parameter.shape);
  }

  /** A second tensor over the same memory. */
  share({ info }: Output): tf.TensorInfo {
    this.incRef(info.dataId);
    return { ...info };
  }

  /** Memory for the time of `use`. */
  withScratch<T>(length: number, use: (scratch: Float32Array) => T): T {
    const scratch = this.allocator.acquire(length);
    try {
      return use(scratch);
    } finally {
      this.allocator.release(scratch);
    }
  }

  /** The memory of a float32 tensor, not a copy. */
  floats(info: tf.TensorInfo): Float32Array {
    const values = this.data.get(info.dataId).values;
    assert(values instanceof Float32Array, `expected float32 values, got ${info.dtype}`);
    return values;
  }

  /** The memory of an int32 tensor, not a copy. */
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
