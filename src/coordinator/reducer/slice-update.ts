// AdamW over a slice, chunk by chunk, decaying and other elements apart. What does not change from step to step is found once.
import type { AdamWSpec } from '../../engine/native/addon.js';
import type { Arithmetic, ReducerOptions } from './events.js';
import { segmentsWithin } from './segments.js';

type SliceState = Pick<
  ReducerOptions,
  'grid' | 'slice' | 'segments' | 'parameters' | 'moment1' | 'moment2'
> & {
  readonly arithmetic: Pick<Arithmetic, 'adamW'>;
};

/** Elements of one chunk whose weights all decay, or all do not. */
interface Part {
  readonly chunk: number;
  /** From the chunk's first element. */
  readonly offset: number;
  readonly size: number;
  readonly decay: boolean;
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

export class SliceUpdate {
  private readonly parts: readonly Part[];
  private readonly arithmetic: SliceState['arithmetic'];

  constructor(state: SliceState) {
    const { grid, slice, segments, parameters, moment1, moment2 } = state;
    this.arithmetic = state.arithmetic;
    const parts: Part[] = [];
    for (let chunk = slice.firstChunk; chunk < slice.endChunk; chunk++) {
      const chunkStart = grid.start(chunk);
      const within = segmentsWithin(segments, chunkStart, chunkStart + grid.gradientElements(chunk));
      for (const { start, end, decay } of within) {
        parts.push({
          chunk,
          offset: start - chunkStart,
          size: end - start,
          decay,
          parameters: parameters.subarray(start, end),
          moment1: moment1.subarray(start, end),
          moment2: moment2.subarray(start, end),
        });
      }
    }
    this.parts = parts;
  }

  /** `gradientOf(chunk)`: the gradient of its trainable elements, from the chunk's first. */
  apply(update: AdamWSpec, gradientOf: (chunk: number) => Float32Array): void {
    const withoutDecay = { ...update, weightDecay: 0 };
    for (const { chunk, offset, size, decay, parameters, moment1, moment2 } of this.parts) {
      const gradient = gradientOf(chunk).subarray(offset, offset + size);
      this.arithmetic.adamW(parameters, moment1, moment2, gradient, size, decay ? update : withoutDecay);
    }
  }
}
