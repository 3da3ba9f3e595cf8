// Which weights do not decay, as few ranges of elements as possible.
import type { TensorSpec } from '../../model/parameters.js';

/** Elements [start, end) of the whole vector. */
export interface ElementRange {
  readonly start: number;
  readonly end: number;
}

/** The trainable elements that do not decay, ascending. Tensors are in the order of their offsets. */
export function undecayedRanges(tensors: readonly TensorSpec[], trainable: number): ElementRange[] {
  const ranges: ElementRange[] = [];
  for (const { offset, size, decay } of tensors) {
    if (offset >= trainable) break;
    if (decay) continue;
    const last = ranges.at(-1);
    if (last?.end === offset) ranges[ranges.length - 1] = { ...last, end: offset + size };
    else ranges.push({ start: offset, end: offset + size });
  }
  return ranges;
}

/** The bounds of what of the ranges lies in [start, end), from `start` on, as AdamW takes them. */
export function boundsWithin(ranges: readonly ElementRange[], start: number, end: number): Int32Array {
  const within = ranges.filter((range) => range.start < end && range.end > start);
  return Int32Array.from(
    within.flatMap((range) => [Math.max(range.start, start) - start, Math.min(range.end, end) - start]),
  );
}
