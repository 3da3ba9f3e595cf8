// What Lockstep uses of tfjs-node's backend, declared here because the package is optional, and the float32 tensors
// over a caller's memory, which TensorFlow only ever has a copy of.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';

export interface OpAttr {
  readonly name: string;
  readonly type: number;
  readonly value: boolean | number;
}

export interface NodeBackend extends tf.KernelBackend {
  readonly binding: {
    readonly TF_Version: string;
    readonly TF_FLOAT: number;
    readonly TF_INT32: number;
    readonly TF_BOOL: number;
    readonly TF_ATTR_TYPE: number;
    readonly TF_ATTR_INT: number;
    readonly TF_ATTR_BOOL: number;
  };
  readonly isUsingGpuDevice: boolean;
  executeSingleOutput(name: string, attrs: readonly OpAttr[], inputs: readonly tf.TensorInfo[]): tf.Tensor;
  executeMultipleOutputs(
    name: string,
    attrs: readonly OpAttr[],
    inputs: readonly tf.TensorInfo[],
    outputs: number,
  ): tf.Tensor[];
}

/** The tensors that were made over memory of their callers, and that memory. */
export class Views {
  private readonly memory = new WeakMap<tf.Tensor, Float32Array>();

  constructor(private readonly backend: NodeBackend) {}

  create(values: Float32Array, shape: readonly number[]): tf.Tensor {
    const size = tf.util.sizeFromShape([...shape]);
    assert(values.length === size, `view: expected ${size} values, got ${values.length}`);
    const backend = this.backend as unknown as tf.KernelBackend;
    const tensor = tf.keep(tf.engine().makeTensor(values.slice(), [...shape], 'float32', backend));
    this.memory.set(tensor, values);
    return tensor;
  }

  /** The tensor stays the same one for tfjs; what it stands for is replaced. */
  refresh(tensor: tf.Tensor): void {
    const values = this.memory.get(tensor);
    assert(values && !tensor.isDisposed, 'refresh: the tensor is no view');
    this.backend.disposeData(tensor.dataId, true);
    this.backend.move(tensor.dataId, values.slice(), tensor.shape, 'float32', 1);
  }
}
