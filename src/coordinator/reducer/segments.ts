// Where weight decay applies, as few runs of elements as possible.
import type { TensorSpec } from '../../model/parameters.js';
import type { DecaySegment } from './reducer.js';

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
