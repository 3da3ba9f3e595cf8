// Where weight decay applies, as few runs of elements as possible.
import type { TensorSpec } from '../../model/parameters.js';

/** A run of the slice's elements whose weights all decay, or all do not. Offsets are into the whole vector. */
export interface DecaySegment {
  readonly start: number;
  readonly end: number;
  readonly decay: boolean;
}

/** Neighbouring tensors that decay alike are one segment. Tensors are in the order of their offsets. */
export function decaySegments(tensors: readonly TensorSpec[], trainable: number): DecaySegment[] {
  const segments: DecaySegment[] = [];
  for (const { offset, size, decay } of tensors) {
    if (offset >= trainable) break;
    const last = segments.at(-1);
    if (last?.decay === decay) segments[segments.length - 1] = { ...last, end: offset + size };
    else segments.push({ start: offset, end: offset + size, decay });
  }
  return segments;
}

/** The parts of the segments that lie in [start, end), in order. */
export function segmentsWithin(
  segments: readonly DecaySegment[],
  start: number,
  end: number,
): DecaySegment[] {
  return segments
    .map((segment) => ({
      ...segment,
      start: Math.max(segment.start, start),
      end: Math.min(segment.end, end),
    }))
    .filter((part) => part.start < part.end);
}
