// One pull of one version of the parameters: which chunks are asked for, which have come.
import type { Slice } from '../protocol/chunks.js';

export class Pull {
  private readonly nextChunk: number[];
  private readonly arrived = new Set<number>();
  private readonly total: number;

  constructor(
    readonly version: number,
    /** The parameter buffer that it fills. */
    readonly slot: number,
    /** What each reducer owns. */
    private readonly slices: readonly Slice[],
    /** Chunks asked of one reducer at once. */
    private readonly window: number,
  ) {
    this.nextChunk = slices.map(({ firstChunk }) => firstChunk);
    this.total = slices.reduce((sum, { firstChunk, endChunk }) => sum + endChunk - firstChunk, 0);
  }

  get complete(): boolean {
    return this.arrived.size === this.total;
  }

  /** The next chunk to ask a reducer for, with `outstanding` requests unanswered. */
  next(reducer: number, outstanding: number): number | undefined {
    const chunk = this.nextChunk[reducer]!;
    if (outstanding >= this.window || chunk >= this.slices[reducer]!.endChunk) return undefined;
    this.nextChunk[reducer] = chunk + 1;
    return chunk;
  }

  /** Notes an arrived chunk; false when it is not this reducer's or has come already. */
  accept(reducer: number, chunk: number): boolean {
    const { firstChunk, endChunk } = this.slices[reducer]!;
    if (chunk < firstChunk || chunk >= endChunk || this.arrived.has(chunk)) return false;
    this.arrived.add(chunk);
    return true;
  }
}
