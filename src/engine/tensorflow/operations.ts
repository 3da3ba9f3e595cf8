// TensorFlow's own operations, as far as the kernels are made of them: their names, attributes and constant inputs.
// Results belong to the scope of tfjs in which they are made.
import * as tf from '@tensorflow/tfjs';
import type { NodeBackend, OpAttr } from './backend.js';

type Input = tf.TensorInfo;

export class Operations {
  private readonly constants = new Map<string, tf.Tensor>();
  private readonly types: Readonly<Record<string, number>>;

  constructor(private readonly backend: NodeBackend) {
    const { TF_FLOAT, TF_INT32, TF_BOOL } = backend.binding;
    this.types = { float32: TF_FLOAT, int32: TF_INT32, bool: TF_BOOL };
  }

  // ---- constants, uploaded once

  scalar(value: number): tf.Tensor {
    return this.constant(`${value}`, () => tf.scalar(value));
  }

  integers(...values: number[]): tf.Tensor {
    return this.constant(`[${values.join()}]`, () => tf.tensor1d(values, 'int32'));
  }

  integer(value: number): tf.Tensor {
    return this.constant(`${value}i`, () => tf.scalar(value, 'int32'));
  }

  /** The values of a small tensor. */
  read(input: Input): ArrayLike<number> {
    return this.backend.readSync(input.dataId) as ArrayLike<number>;
  }

  // ---- element by element

  unary(name: 'Relu' | 'Erf' | 'Exp' | 'Sigmoid' | 'Square' | 'Rsqrt', x: Input): tf.Tensor {
    return this.one(name, [this.type('T', x.dtype)], [x]);
  }

  binary(
    name: 'AddV2' | 'Sub' | 'Mul' | 'SquaredDifference' | 'GreaterEqual' | 'Equal' | 'ReluGrad',
    a: Input,
    b: Input,
  ): tf.Tensor {
    return this.one(name, [this.type('T', a.dtype)], [a, b]);
  }

  add(a: Input, b: Input): tf.Tensor {
    return this.binary('AddV2', a, b);
  }

  multiply(a: Input, b: Input): tf.Tensor {
    return this.binary('Mul', a, b);
  }

  scale(x: Input, factor: number): tf.Tensor {
    return this.multiply(x, this.scalar(factor));
  }

  select(condition: Input, ifTrue: Input, ifFalse: Input): tf.Tensor {
    return this.one('SelectV2', [this.type('T', ifTrue.dtype)], [condition, ifTrue, ifFalse]);
  }

  toFloat(x: Input): tf.Tensor {
    return this.one('Cast', [this.type('SrcT', x.dtype), this.type('DstT', 'float32')], [x]);
  }

  // ---- products

  /** a [M, K] · b [K, N], either transposed first. */
  matMul(a: Input, b: Input, transposeA: boolean, transposeB: boolean): tf.Tensor {
    const attrs = [
      this.type('T', 'float32'),
      this.flag('transpose_a', transposeA),
      this.flag('transpose_b', transposeB),
    ];
    return this.one('MatMul', attrs, [a, b]);
  }

  /** The same for every leading index. */
  batchMatMul(a: Input, b: Input, transposeA: boolean, transposeB: boolean): tf.Tensor {
    const attrs = [this.type('T', 'float32'), this.flag('adj_x', transposeA), this.flag('adj_y', transposeB)];
    return this.one('BatchMatMulV2', attrs, [a, b]);
  }

  /** x [..., N] + bias [N]. */
  addBias(x: Input, bias: Input): tf.Tensor {
    return this.one('BiasAdd', [this.type('T', 'float32')], [x, bias]);
  }

  // ---- sums

  /** x [..., N] -> [N]. */
  sumRows(x: Input): tf.Tensor {
    return this.one('BiasAddGrad', [this.type('T', 'float32')], [x]);
  }

  /** Sum or mean of the last dimension, which stays as one of size 1. */
  overLast(name: 'Sum' | 'Mean', x: Input): tf.Tensor {
    return this.reduce(name, x, [x.shape.length - 1], true);
  }

  sumAll(x: Input): tf.Tensor {
    const axes = x.shape.map((_, axis) => axis);
    return this.reduce('Sum', x, axes, false);
  }

  private reduce(name: string, x: Input, axes: number[], keep: boolean): tf.Tensor {
    const attrs = [this.type('T', x.dtype), this.type('Tidx', 'int32'), this.flag('keep_dims', keep)];
    return this.one(name, attrs, [x, this.integers(...axes)]);
  }

  /** x [N, ...] -> [segments, ...]: row i is added to row segmentIds[i]. */
  segmentSum(x: Input, segmentIds: Input, segments: number): tf.Tensor {
    const attrs = [
      this.type('T', 'float32'),
      this.type('Tindices', 'int32'),
      this.type('Tnumsegments', 'int32'),
    ];
    return this.one('UnsortedSegmentSum', attrs, [x, segmentIds, this.integer(segments)]);
  }

  // ---- shapes

  reshape(x: Input, shape: readonly number[]): tf.Tensor {
    const attrs = [this.type('T', x.dtype), this.type('Tshape', 'int32')];
    return this.one('Reshape', attrs, [x, tf.tensor1d([...shape], 'int32')]);
  }

  /** x [..., N] -> [M, N]. */
  toMatrix(x: Input): tf.Tensor {
    const width = x.shape[x.shape.length - 1]!;
    return this.reshape(x, [tf.util.sizeFromShape(x.shape.slice(0, -1)), width]);
  }

  transpose(x: Input, ...permutation: number[]): tf.Tensor {
    const attrs = [this.type('T', x.dtype), this.type('Tperm', 'int32')];
    return this.one('Transpose', attrs, [x, this.integers(...permutation)]);
  }

  /** The parts of x along its first dimension. */
  unpack(x: Input): tf.Tensor[] {
    const count = x.shape[0]!;
    const attrs = [this.type('T', x.dtype), this.number('num', count), this.number('axis', 0)];
    return this.backend.executeMultipleOutputs('Unpack', attrs, [x], count);
  }

  /** Tensors of one shape along a new first dimension. */
  pack(parts: readonly Input[]): tf.Tensor {
    const attrs = [this.type('T', parts[0]!.dtype), this.number('N', parts.length), this.number('axis', 0)];
    return this.one('Pack', attrs, parts);
  }

  /** Rows [first, first + count) of x [N, d]. */
  rows(x: Input, first: number, count: number): tf.Tensor {
    const attrs = [this.type('T', x.dtype), this.type('Index', 'int32')];
    const begin = tf.tensor1d([first, 0], 'int32');
    return this.one('Slice', attrs, [x, begin, tf.tensor1d([count, x.shape[1]!], 'int32')]);
  }

  /** x [N, d], ids [...] -> [..., d]. */
  gather(x: Input, ids: Input): tf.Tensor {
    return this.takeAlong(x, ids, 0, 0);
  }

  private takeAlong(x: Input, ids: Input, axis: number, batchDimensions: number): tf.Tensor {
    const attrs = [
      this.type('Tparams', x.dtype),
      this.type('Tindices', 'int32'),
      this.type('Taxis', 'int32'),
      this.number('batch_dims', batchDimensions),
    ];
    return this.one('GatherV2', attrs, [x, ids, this.integer(axis)]);
  }

  zeros(shape: readonly number[]): tf.Tensor {
    const attrs = [this.type('T', 'float32'), this.type('index_type', 'int32')];
    return this.one('Fill', attrs, [tf.tensor1d([...shape], 'int32'), this.scalar(0)]);
  }

  // ---- classes

  /** x [R, V], columns [R] -> x[r, columns[r]] as [R]. */
  pick(x: Input, columns: Input): tf.Tensor {
    const rows = columns.shape[0]!;
    const picked = this.takeAlong(x, this.reshape(columns, [rows, 1]), 1, 1); // [R, 1]
    return this.reshape(picked, [rows]);
  }

  /** Over the last dimension. */
  softmax(name: 'Softmax' | 'LogSoftmax', logits: Input): tf.Tensor {
    return this.one(name, [this.type('T', 'float32')], [logits]);
  }

  /** x [R, V] -> int32 [R]. */
  argMax(x: Input): tf.Tensor {
    const attrs = [this.type('T', x.dtype), this.type('Tidx', 'int32'), this.type('output_type', 'int32')];
    return this.one('ArgMax', attrs, [x, this.integer(-1)]);
  }

  /** Uniform numbers in [0, 1), a pure function of shape and seed. */
  uniform(shape: readonly number[], seed: readonly [number, number]): tf.Tensor {
    const attrs = [this.type('dtype', 'float32'), this.type('T', 'int32'), this.type('Tseed', 'int32')];
    const inputs = [tf.tensor1d([...shape], 'int32'), tf.tensor1d([...seed], 'int32')];
    return this.one('StatelessRandomUniform', attrs, inputs);
  }

  // ---- how an operation is called

  private one(name: string, attrs: readonly OpAttr[], inputs: readonly Input[]): tf.Tensor {
    return this.backend.executeSingleOutput(name, attrs, inputs);
  }

  private type(name: string, dtype: string): OpAttr {
    return { name, type: this.backend.binding.TF_ATTR_TYPE, value: this.types[dtype]! };
  }

  private flag(name: string, value: boolean): OpAttr {
    return { name, type: this.backend.binding.TF_ATTR_BOOL, value };
  }

  private number(name: string, value: number): OpAttr {
    return { name, type: this.backend.binding.TF_ATTR_INT, value };
  }

  private constant(key: string, make: () => tf.Tensor): tf.Tensor {
    const known = this.constants.get(key);
    if (known !== undefined) return known;
    const made = tf.keep(make());
    this.constants.set(key, made);
    return made;
  }
}
