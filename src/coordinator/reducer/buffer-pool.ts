// Float32 buffers of one size that are used again and again, so that a steady step allocates nothing.

export class BufferPool {
  private readonly free: ArrayBuffer[] = [];
  private acquired = 0;

  /** @param elements capacity of every buffer */
  constructor(private readonly elements: number) {}

  /** The first `length` elements of a buffer with arbitrary content; the caller's until released or forgotten. */
  acquire(length: number): Float32Array<ArrayBuffer> {
    this.acquired++;
    return new Float32Array(this.free.pop() ?? new ArrayBuffer(this.elements * 4), 0, length);
  }

  /** These values in a buffer of the caller's. */
  copyOf(values: Float32Array): Float32Array<ArrayBuffer> {
    const copy = this.acquire(values.length);
    copy.set(values);
    return copy;
  }

  release(values: Float32Array<ArrayBuffer>): void {
    this.acquired--;
    this.free.push(values.buffer);
  }

  /** The caller will not release this one: another may still read it. */
  forget(): void {
    this.acquired--;
  }

  get bytes(): { readonly used: number; readonly free: number } {
    const size = this.elements * 4;
    return { used: this.acquired * size, free: this.free.length * size };
  }
}
