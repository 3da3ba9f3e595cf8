// The numbers of a gradient chunk, as it came over the wire.
import type { Addon } from '../../engine/native/addon.js';
import type { WireFormat } from '../../protocol/job.js';
import type { BufferPool } from './buffer-pool.js';

export interface Contribution {
  readonly values: Float32Array<ArrayBuffer>;
  /** It lies in a buffer of the pool, which goes to whoever takes it. Otherwise it lies in a frame, and is gone with that. */
  readonly isOurs: boolean;
}

/** Numbers that need no conversion are read where they lie, if they lie aligned. */
export function contributionOf(
  { buffer, byteOffset, length }: Uint8Array,
  wire: WireFormat,
  pool: BufferPool,
  { unpackBfloat16 }: Pick<Addon, 'unpackBfloat16'>,
): Contribution {
  const bytes = buffer as ArrayBuffer; // nobody shares the memory of a frame
  const [from, at] =
    byteOffset % 4 === 0 ? [bytes, byteOffset] : [bytes.slice(byteOffset, byteOffset + length), 0];
  if (wire === 'float32') return { values: new Float32Array(from, at, length / 4), isOurs: false };
  const halves = new Uint16Array(from, at, length / 2);
  const values = pool.acquire(halves.length);
  unpackBfloat16(halves, values, halves.length);
  return { values, isOurs: true };
}
