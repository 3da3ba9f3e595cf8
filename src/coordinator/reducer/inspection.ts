// What a reducer looks at beside adding: the hash of a contribution, and where a number is not finite.
import { createHash } from 'node:crypto';

/** The hash of one worker's gradient of a node: of its chunks as they were received, in their order. */
export class ContributionHash {
  private readonly chunks = new Map<number, Buffer>();

  add(chunk: number, payload: Uint8Array): void {
    this.chunks.set(chunk, createHash('sha256').update(payload).digest());
  }

  /** SHA-256 (hex) over the hashes of chunks [first, end); undefined while one is missing. */
  of(first: number, end: number): string | undefined {
    const hash = createHash('sha256');
    for (let chunk = first; chunk < end; chunk++) {
      const digest = this.chunks.get(chunk);
      if (!digest) return undefined;
      hash.update(digest);
    }
    return hash.digest('hex');
  }
}

/** The first number that is not finite, and where. */
export interface NonFinite {
  /** In the parameters themselves; in one micro-batch's gradient; or only in the sum of finite ones. */
  readonly where: 'parameters' | 'gradient' | 'sum';
  /** 0 unless it is in one micro-batch's gradient. */
  readonly microBatch: number;
  /** Of the whole vector. */
  readonly element: number;
}

/** Which of two comes first: parameters before gradients before sums, then by micro-batch and element. */
export function firstOf(a: NonFinite | null, b: NonFinite | null): NonFinite | null {
  if (!a || !b) return a ?? b;
  const order = ['parameters', 'gradient', 'sum'];
  const difference =
    order.indexOf(a.where) - order.indexOf(b.where) || a.microBatch - b.microBatch || a.element - b.element;
  return difference <= 0 ? a : b;
}

/** Index of the first element that is not finite; -1 when all are. */
export function indexOfNonFinite(values: Float32Array): number {
  return values.findIndex((value) => !Number.isFinite(value));
}
