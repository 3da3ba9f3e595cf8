// AdamW over a slice, chunk by chunk. What does not change from step to step is found once.
import type { AdamWSpec } from '../../engine/native/addon.js';
import type { Arithmetic } from './arithmetic.js';
import type { ReducerOptions } from './events.js';
import { boundsWithin } from './undecayed.js';

type SliceState = Pick<
  ReducerOptions,
  'grid' | 'slice' | 'undecayed' | 'parameters' | 'moment1' | 'moment2'
> & {
  readonly arithmetic: Pick<Arithmetic, 'adamW' | 'settle'>;
};

/** The trainable elements of a chunk. */
interface Part {
  readonly chunk: number;
  /** Ranges whose weights do not decay, from the chunk's first element. */
  readonly undecayed: Int32Array;
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

export class SliceUpdate {
  private readonly parts: readonly Part[];
  private readonly arithmetic: SliceState['arithmetic'];

  constructor(state: SliceState) {
    const { grid, slice, undecayed, parameters, moment1, moment2 } = state;
    this.arithmetic = state.arithmetic;
    const parts: Part[] = [];
    for (let chunk = slice.firstChunk; chunk < Math.min(slice.endChunk, grid.gradientChunks); chunk++) {
      const start = grid.start(chunk);
      const end = start + grid.gradientElements(chunk);
      parts.push({
        chunk,
        undecayed: boundsWithin(undecayed, start, end),
        parameters: parameters.subarray(start, end),
        moment1: moment1.subarray(start, end),
        moment2: moment2.subarray(start, end),
      });
    }
    this.parts = parts;
  }

  /** `gradientOf(chunk)`: the gradient of its trainable elements, from the chunk's first, each in memory of its own. */
  apply(update: AdamWSpec, gradientOf: (chunk: number) => Float32Array): void {
    for (const { chunk, undecayed, parameters, moment1, moment2 } of this.parts) {
      const gradient = gradientOf(chunk);
      this.arithmetic.adamW(parameters, moment1, moment2, gradient, parameters.length, undecayed, update);
    }
    this.arithmetic.settle();
  }
}
