// The little of a model's parameter layout that a checkpoint needs: which tensors, where, and how many train.

/** Offsets and sizes in float32 elements of the flat vector; tensors lie side by side in order, trainable ones first. */
export interface TensorLayout {
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly offset: number;
    readonly size: number;
  }[];
  readonly trainable: number;
  readonly total: number;
}
