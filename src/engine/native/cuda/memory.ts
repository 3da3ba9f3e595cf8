// A CUDA device's memory: blocks that are used again, and arrays in them.
import { UserError } from '../../../util/errors.js';
import type { CudaAddon, DeviceArray } from '../addon.js';
import { CachingAllocator } from '../allocator.js';

/** float32, or bfloat16 where activations are stored in that. */
export type Format = 'float32' | 'bfloat16';
const BYTES = { float32: 4, bfloat16: 2 } as const;

export interface DeviceBuffer {
  readonly address: number;
  readonly bytes: number;
}

/** Elements in a block of the device's memory. */
export interface DeviceFloats extends DeviceArray {
  readonly buffer: DeviceBuffer;
  readonly format: Format;
}

const MIB = 2 ** 20;
const mebibytes = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;

export class DeviceMemory {
  readonly blocks: CachingAllocator<DeviceFloats>;

  constructor(
    private readonly cuda: CudaAddon,
    private readonly totalBytes: number,
  ) {
    this.blocks = new CachingAllocator<DeviceFloats>({
      allocate: (bytes) => ({ address: this.take(bytes), bytes }),
      view: (buffer, length) => ({ buffer, address: buffer.address, length, format: 'float32' }),
      free: ({ address }) => cuda.release(address),
    });
  }

  /** Memory for `length` elements, held once, its content undefined. Throws UserError DEVICE_MEMORY. */
  acquire(length: number, format: Format): DeviceFloats {
    return { ...this.blocks.acquire(length, BYTES[format]), format };
  }

  retain(values: DeviceFloats): void {
    this.blocks.retain(values);
  }

  release(values: DeviceFloats): void {
    this.blocks.release(values);
  }

  statistics() {
    return this.blocks.statistics();
  }

  /** From the device; when it has no more, once more without the blocks that nothing uses. */
  private take(bytes: number): number {
    const address = this.cuda.allocate(bytes);
    if (address !== 0) return address;
    this.cuda.synchronise();
    this.blocks.trim();
    const again = this.cuda.allocate(bytes);
    if (again !== 0) return again;
    const { usedBytes } = this.blocks.statistics();
    throw new UserError(
      'DEVICE_MEMORY',
      `out of device memory: a tensor of ${mebibytes(bytes)} does not fit beside the ${mebibytes(usedBytes)} in use, ` +
        `on a device of ${mebibytes(this.totalBytes)}: lower batch.samples, window or the model's size, or use precision: bfloat16`,
    );
  }
}

/** Elements [offset, offset + size) of float32 memory. */
export function partOf(values: DeviceFloats, offset: number, size: number): DeviceFloats {
  return { ...values, address: values.address + offset * BYTES.float32, length: size };
}

export function bytesOf({ length, format }: DeviceFloats): number {
  return length * BYTES[format];
}
