// The memory of tensors: blocks of aligned memory, kept when a tensor ends and given to the next of about its size. A
// training step that repeats allocates nothing from the system, be it the host's or a device's.

import { assert } from '../../util/errors.js';

/** What the allocator hands out: a view of a block from its beginning. */
interface View {
  readonly buffer: object;
  readonly length: number;
}

/** Where blocks come from. */
export interface MemorySource<V extends View> {
  allocate(bytes: number): V['buffer'];
  /** The first `length` elements of a block. */
  view(buffer: V['buffer'], length: number): V;
  /** Gives a block back; without it, the garbage collector does. */
  free?(buffer: V['buffer']): void;
}

/** Memory of the host; `allocate` gives it aligned to 64 bytes. */
export function hostAllocator(allocate: (bytes: number) => ArrayBuffer): CachingAllocator<Float32Array> {
  return new CachingAllocator<Float32Array>({
    allocate,
    view: (buffer, length) => new Float32Array(buffer, 0, length),
  });
}

/** One piece of memory, and how many records (and scratch uses) hold it. */
export interface Block {
  readonly buffer: object;
  readonly bytes: number;
  references: number;
}

/** Blocks that are borrowed together, again and again. */
export class Loan {
  readonly blocks = new Set<Block>();
  bytes = 0;
  /** The allocator's `takings` when nobody held any of them; -1: not known. */
  freeAt = -1;

  add(block: Block): void {
    if (this.blocks.has(block)) return;
    this.blocks.add(block);
    this.bytes += block.bytes;
  }
}

export interface AllocatorStatistics {
  /** Blocks ever asked of the system: constant in steady state. */
  readonly systemAllocations: number;
  /** Bytes of all blocks that were not given back, in use or not. */
  readonly reservedBytes: number;
  /** Bytes of the blocks that hold something. */
  readonly usedBytes: number;
}

const SMALLEST_BYTES = 256;

/** Rounds up to one of four sizes per power of two, all multiples of 64: at most a quarter is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const step = 2 ** Math.floor(Math.log2(bytes - 1)) / 4;
  return Math.ceil(bytes / step) * step;
}

/** Fills memory of the host with NaN, in float32 and in bfloat16. */
function poisonAll(values: View): void {
  if (values instanceof Float32Array) new Uint8Array(values.buffer, 0, values.byteLength).fill(0xff);
}

export class CachingAllocator<V extends View> {
  /** For tests: fills memory with NaN (of float32 and of bfloat16) before it is handed out, so that a kernel that leaves part of it unwritten shows. */
  poison = false;
  /** Hears of each block that is handed out. */
  onHandOut: ((block: Block) => void) | null = null;

  private readonly blocks = new WeakMap<object, Block>();
  /** By their bytes. What is borrowed stays here, and is passed over. */
  private readonly free = new Map<number, Block[]>();
  private loan: Loan | null = null;
  /** How often a block was taken from the free ones, or may have been. */
  private takings = 0;
  private systemAllocations = 0;
  private reservedBytes = 0;
  private usedBytes = 0;

  constructor(private readonly source: MemorySource<V>) {}

  /** Memory for `length` elements, held once by the caller, its content undefined. */
  acquire(length: number, bytesPerElement = Float32Array.BYTES_PER_ELEMENT): V {
    const bytes = sizeClass(length * bytesPerElement);
    const block = this.takeFree(bytes) ?? this.newBlock(bytes);
    block.references = 1;
    this.onHandOut?.(block);
    const values = this.source.view(block.buffer, length);
    if (this.poison) poisonAll(values);
    return values;
  }

  /**
   * Takes all blocks of the loan if nobody holds any of them, and says whether it did; giveBack() ends it. Looks at them only where
   * something was taken since the last time.
   */
  borrow(loan: Loan): boolean {
    if (this.loan) return false;
    if (loan.freeAt !== this.takings) {
      for (const { references } of loan.blocks) if (references > 0) return false;
      loan.freeAt = this.takings;
    }
    this.loan = loan;
    this.usedBytes += loan.bytes;
    if (this.poison) this.poisonLoan(loan);
    return true;
  }

  giveBack(): void {
    assert(this.loan, 'nothing is borrowed');
    this.usedBytes -= this.loan.bytes;
    this.loan = null;
  }

  private isBorrowed(block: Block): boolean {
    return this.loan?.blocks.has(block) ?? false;
  }

  private poisonLoan({ blocks }: Loan): void {
    for (const { buffer, bytes } of blocks)
      poisonAll(this.source.view(buffer, bytes / Float32Array.BYTES_PER_ELEMENT));
  }

  /** Whether this array lies in a block of ours. */
  owns(values: { readonly buffer: object }): boolean {
    return this.blocks.has(values.buffer);
  }

  /**
   * Holds the block under `values` once more. Stock kernels make tensors that are windows of their input's
   * memory (a contiguous slice, for one): the block must outlive both. Memory that is not ours is left alone.
   */
  retain(values: { readonly buffer: object }): void {
    const block = this.blocks.get(values.buffer);
    if (block === undefined) return;
    if (block.references === 0) this.take(block); // it is borrowed
    block.references++;
  }

  /** Lets go of `values`; the last holder's release makes the block free. Memory that is not ours is left alone. */
  release(values: { readonly buffer: object }): void {
    const block = this.blocks.get(values.buffer);
    if (block === undefined || --block.references > 0) return;
    this.usedBytes -= block.bytes;
    const list = this.free.get(block.bytes);
    if (list === undefined) this.free.set(block.bytes, [block]);
    else list.push(block);
  }

  /** Lets go of the free blocks, so that the system may have them back. */
  trim(): void {
    this.takings++;
    for (const [bytes, list] of this.free) {
      const left = list.filter((block) => !this.isBorrowed(block));
      this.free.set(
        bytes,
        list.filter((block) => this.isBorrowed(block)),
      );
      this.reservedBytes -= bytes * left.length;
      for (const block of left) {
        block.references = 1; // the system's: it is nobody's any more
        this.source.free?.(block.buffer);
      }
    }
  }

  statistics(): AllocatorStatistics {
    const { systemAllocations, reservedBytes, usedBytes } = this;
    return { systemAllocations, reservedBytes, usedBytes };
  }

  /**
   * The smallest free block of at least `bytes` and at most twice as much. Batches differ in length: without the
   * larger ones, every length would come to hold blocks of its own.
   */
  private takeFree(bytes: number): Block | undefined {
    for (let size = bytes; size <= 2 * bytes; size = sizeClass(size + 1)) {
      const block = this.free.get(size)?.findLast((each) => !this.isBorrowed(each));
      if (block === undefined) continue;
      this.take(block);
      return block;
    }
    return undefined;
  }

  private take(block: Block): void {
    const list = this.free.get(block.bytes)!;
    list.splice(list.lastIndexOf(block), 1);
    this.usedBytes += block.bytes;
    this.takings++;
  }

  private newBlock(bytes: number): Block {
    const block = { buffer: this.source.allocate(bytes), bytes, references: 0 };
    this.blocks.set(block.buffer, block);
    this.systemAllocations++;
    this.reservedBytes += bytes;
    this.usedBytes += bytes;
    return block;
  }
}
