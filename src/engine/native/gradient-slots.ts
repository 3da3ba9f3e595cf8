// Where the gradients of parameters are written: memory that the trainer chose, so that nothing copies them afterwards.
import type * as tf from '@tensorflow/tfjs';
import type { Floats } from './addon.js';
import type { GradientOutput, Output } from './kernel-backend.js';

/** Where a parameter's gradient belongs, and the tensor data that stands for it once something was written there. */
interface Slot<F extends Floats> {
  readonly values: F;
  dataId: tf.DataId | null;
}

/** What the slots need of their backend. */
interface Tensors<F extends Floats> {
  output(shape: readonly number[]): Output<F>;
  /** A tensor's data over memory that is not recycled with it. */
  over(values: F, shape: readonly number[]): tf.DataId;
  isAlive(dataId: tf.DataId): boolean;
  incRef(dataId: tf.DataId): void;
}

export class GradientSlots<F extends Floats> {
  private slots = new Map<tf.DataId, Slot<F>>();

  constructor(private readonly tensors: Tensors<F>) {}

  /** From now on gradients of these parameters are written to (or added in) this memory. */
  set(slots: Iterable<readonly [tf.Tensor, F]>): void {
    this.slots = new Map();
    for (const [{ dataId }, values] of slots) this.slots.set(dataId, { values, dataId: null });
  }

  /**
   * The output for a gradient of `parameter`: in its slot, when it has one. A second gradient of the same parameter shares the
   * first one's tensor data, and `accumulate` says that it must be added there.
   */
  output({ dataId, shape }: tf.TensorInfo): GradientOutput<F> {
    const slot = this.slots.get(dataId);
    if (!slot) return { ...this.tensors.output(shape), accumulate: false };
    const { values } = slot;
    const accumulate = slot.dataId !== null && this.tensors.isAlive(slot.dataId);
    if (accumulate) this.tensors.incRef(slot.dataId!);
    else slot.dataId = this.tensors.over(values, shape);
    return { info: { dataId: slot.dataId!, shape, dtype: 'float32' }, values, accumulate };
  }

  /** The same for a kernel that cannot add: only the first gradient goes to the slot. */
  firstOutput(parameter: tf.TensorInfo): Output<F> {
    const slot = this.slots.get(parameter.dataId);
    return slot?.dataId === null ? this.output(parameter) : this.tensors.output(parameter.shape);
  }
}
