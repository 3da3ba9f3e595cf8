// Float32 buffers of one size that are used again and again, so that a steady step allocates nothing.

export class BufferPool {
  private readonly free: ArrayBuffer[] = [];

  /** @param elements capacity of every buffer */
  constructor(private readonly elements: number) {}

  /** The first `length` elements of a buffer with arbitrary content; the caller's until released or forgotten. */
  acquire(length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.free.pop() ?? new ArrayBuffer(this.elements * 4), 0, length);
  }

  release(values: Float32Array<ArrayBuffer>): void {
    this.free.push(values.buffer);
  }
}
