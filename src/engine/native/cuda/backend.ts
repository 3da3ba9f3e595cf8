// The tfjs backend of a CUDA device. Every tfjs operation runs: the fused kernels on the device, the others on the host
// (tfjs's cpu backend's), with values brought to either side when they are asked for there.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../../../util/errors.js';
import {
  type Addon,
  type Arithmetic,
  type CudaInfo,
  type DeviceArray,
  type Kernels,
  PrecisionCode,
} from '../addon.js';
import { GradientSlots } from '../gradient-slots.js';
import type { GradientOutput, KernelBackend, Output } from '../kernel-backend.js';
import { DeviceCalls } from './calls.js';
import { type DeviceFloats, DeviceMemory, type Format } from './memory.js';
import type { RecordedBackend } from '../recorder.js';
import { pin } from './pinned.js';
import { DeviceRecord, type HostValues } from './record.js';

export class CudaBackend extends tf.MathBackendCPU implements KernelBackend {
  kernels!: Kernels;
  readonly precision = PrecisionCode.float32;
  readonly memoryOfDevice: DeviceMemory;
  readonly calls: DeviceCalls;
  readonly gradientSlots = new GradientSlots<DeviceFloats>({
    output: (shape) => this.floatOutput(shape),
    over: (values) => this.record(this.hold(values)),
    isAlive: (dataId) => this.data.has(dataId),
    incRef: (dataId) => this.incRef(dataId),
  });
  /** How activations are stored. */
  private stored!: Format;

  constructor(
    readonly addon: Addon,
    info: CudaInfo,
  ) {
    super();
    this.calls = new DeviceCalls(addon);
    this.setArithmetic('float32');
    this.memoryOfDevice = new DeviceMemory(addon.cuda, info.totalBytes);
  }

  /** How products multiply from now on, and activations are stored. */
  setArithmetic(arithmetic: Arithmetic): void {
    this.kernels = this.calls.operations(arithmetic);
    this.stored = arithmetic === 'bfloat16' ? 'bfloat16' : 'float32';
  }

  override write(values: HostValues, _shape: number[], dtype: tf.DataType): tf.DataId {
    return this.record(new DeviceRecord(dtype, values, this.calls, this.memoryOfDevice));
  }

  override move(
    dataId: tf.DataId,
    values: HostValues,
    _shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    const record = new DeviceRecord(dtype, values, this.calls, this.memoryOfDevice);
    record.refCount = refCount;
    this.data.set(dataId, record);
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    const record = this.data.has(dataId) ? this.recordOf(dataId) : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone) record?.dispose();
    return gone;
  }

  override memory() {
    return { unreliable: false, reasons: [] as string[], ...this.memoryOfDevice.statistics() };
  }

  /**
   * A tensor over memory of the host that its owner changes, and says so by refresh(). Memory that threads share, which is a
   * worker's parameters, is pinned: its owner changes it when what was computed from it is there.
   */
  view(values: Float32Array, shape: readonly number[]): tf.Tensor {
    if (values.buffer instanceof SharedArrayBuffer) pin(this.addon.cuda, values.buffer);
    return tf.keep(tf.engine().makeTensor(values, [...shape], 'float32', this));
  }

  /** A tensor over memory of the device, which its owner keeps and may change; tidy() does not end it. */
  over(values: DeviceFloats, shape: readonly number[]): tf.Tensor {
    const dataId = this.record(this.hold(values));
    return tf.keep(tf.engine().makeTensorFromDataId(dataId, [...shape], 'float32', this));
  }

  refresh(view: tf.Tensor): void {
    this.recordOf(view.dataId).refresh();
  }

  /** For a recorder. */
  recorded(): RecordedBackend {
    return {
      observe: (observer) => {
        this.calls.observer = observer;
        this.memoryOfDevice.blocks.onHandOut = observer && ((block) => observer.took(block));
      },
      addon: this.addon,
      blocks: this.memoryOfDevice.blocks,
      repeatKernels: ({ calls }, first, count) => this.addon.repeatCalls(calls, first, count),
      settle: () => undefined,
      reader: (scalar) => {
        const memory = this.floats(scalar);
        return () => this.calls.download(memory)[0]!;
      },
    };
  }

  activations({ dataId }: tf.TensorInfo): DeviceFloats {
    return this.recordOf(dataId).on(this.stored);
  }

  operand(info: tf.TensorInfo): DeviceFloats {
    return this.activations(info);
  }

  residual(info: tf.TensorInfo): DeviceFloats {
    return this.activations(info);
  }

  floats({ dataId }: tf.TensorInfo): DeviceFloats {
    return this.recordOf(dataId).on('float32');
  }

  /** Ids are checked here, where they are still on the host: one outside its table would touch foreign memory. */
  integers({ dataId }: tf.TensorInfo, limit: number): DeviceArray {
    const record = this.recordOf(dataId);
    const values = record.unobserved() as Int32Array;
    this.calls.make(() => {
      const bad = values.findIndex((value) => value < 0 || value >= limit);
      if (bad >= 0) throw new RangeError(`element ${bad} is ${values[bad]}, expected 0 to ${limit - 1}`);
    });
    return record.on('float32'); // as many bytes
  }

  scalar({ dataId }: tf.TensorInfo): number {
    return (this.recordOf(dataId).unobserved() as Float32Array)[0]!;
  }

  residualOutput(shape: readonly number[]): Output<DeviceFloats> {
    return this.made(shape, this.stored);
  }

  floatOutput(shape: readonly number[]): Output<DeviceFloats> {
    return this.made(shape, 'float32');
  }

  operandOutput(shape: readonly number[]): Output<DeviceFloats> {
    return this.residualOutput(shape);
  }

  asOperand(output: Output): { info: tf.TensorInfo; values: null } {
    return { info: this.share(output), values: null };
  }

  outputLike({ shape }: tf.TensorInfo): Output<DeviceFloats> {
    return this.residualOutput(shape);
  }

  alike(): boolean {
    return true;
  }

  zero({ values }: Output<DeviceFloats>): void {
    this.calls.zero(values);
  }

  share({ info }: Pick<Output, 'info'>): tf.TensorInfo {
    this.incRef(info.dataId);
    return { ...info };
  }

  withScratch(length: number, use: (scratch: DeviceFloats) => void): void {
    const scratch = this.memoryOfDevice.acquire(length, this.stored);
    try {
      use(scratch);
    } finally {
      this.memoryOfDevice.release(scratch);
    }
  }

  gradientOutput(parameter: tf.TensorInfo): GradientOutput<DeviceFloats> {
    return this.gradientSlots.output(parameter);
  }

  firstGradientOutput(parameter: tf.TensorInfo): Output<DeviceFloats> {
    return this.gradientSlots.firstOutput(parameter);
  }

  /** a + b on the device where both lie there in one format and shape, else undefined. */
  addOnDevice(a: tf.TensorInfo, b: tf.TensorInfo): tf.TensorInfo | undefined {
    const format = this.recordOf(a.dataId).format;
    if (!format || this.recordOf(b.dataId).format !== format) return undefined;
    if (!tf.util.arraysEqual(a.shape, b.shape)) return undefined;
    const { info, values } = this.made(a.shape, format);
    const [left, right] = [a, b].map(({ dataId }) => this.recordOf(dataId).on(format));
    this.calls.sum(values, left!, right!);
    return info;
  }

  private made(shape: readonly number[], format: Format): Output<DeviceFloats> {
    const values = this.memoryOfDevice.acquire(tf.util.sizeFromShape([...shape]), format);
    const dataId = this.record(DeviceRecord.on(values, this.calls, this.memoryOfDevice));
    return { info: { dataId, shape: [...shape], dtype: 'float32' }, values };
  }

  private hold(values: DeviceFloats): DeviceRecord {
    this.memoryOfDevice.retain(values);
    return DeviceRecord.on(values, this.calls, this.memoryOfDevice);
  }

  private record(record: DeviceRecord): tf.DataId {
    const dataId = {};
    this.data.set(dataId, record); // tfjs asks of it what DeviceRecord has
    return dataId;
  }

  private recordOf(dataId: tf.DataId): DeviceRecord {
    const record: unknown = this.data.get(dataId);
    assert(record instanceof DeviceRecord, 'a tensor of another backend');
    return record;
  }
}
