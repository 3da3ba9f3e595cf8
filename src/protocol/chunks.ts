// How the flat parameter vector is cut: blocks (the unit of the gradient norm), chunks (the unit on the wire and
// of reduction) and slices (what one reducer owns).

export const BLOCK_ELEMENTS = 64 * 1024;
export const BLOCKS_PER_CHUNK = 4;
export const CHUNK_ELEMENTS = BLOCKS_PER_CHUNK * BLOCK_ELEMENTS;

/** A run of whole chunks owned by one reducer; `end` is exclusive. Boundaries need not be tensors'. */
export interface Slice {
  readonly firstChunk: number;
  readonly endChunk: number;
}

/**
 * The vector's geometry: `trainable` elements that have gradients, then a frozen tail up to `total` that is
 * only pulled and saved.
 */
export class ChunkGrid {
  readonly chunks: number;
  /** Chunks that hold at least one trainable element: the ones that gradients are sent for. */
  readonly gradientChunks: number;

  constructor(
    readonly trainable: number,
    readonly total: number,
    /** Elements of a chunk; the protocol's, but for tests that want many chunks of a few elements. */
    readonly chunkElements = CHUNK_ELEMENTS,
  ) {
    this.chunks = Math.ceil(total / chunkElements);
    this.gradientChunks = Math.ceil(trainable / chunkElements);
  }

  /** First element of a chunk. */
  start(chunk: number): number {
    return chunk * this.chunkElements;
  }

  /** Elements of a chunk. */
  elements(chunk: number): number {
    return Math.min(this.chunkElements, this.total - this.start(chunk));
  }

  /** Elements of a chunk that have gradients; 0 in the frozen tail. */
  gradientElements(chunk: number): number {
    return Math.max(0, Math.min(this.chunkElements, this.trainable - this.start(chunk)));
  }

  /** Cuts the vector into at most `reducers` slices of nearly equal numbers of chunks. */
  slices(reducers: number): Slice[] {
    const count = Math.min(reducers, this.chunks);
    return Array.from({ length: count }, (_, i) => ({
      firstChunk: Math.floor((i * this.chunks) / count),
      endChunk: Math.floor(((i + 1) * this.chunks) / count),
    }));
  }
}
