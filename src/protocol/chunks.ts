// How the flat parameter vector is cut: blocks (the unit of the gradient norm), chunks (the unit on the wire and
// of reduction) and slices (what one reducer owns).

export const BLOCK_ELEMENTS = 64 * 1024;
/** 1 MiB, so that a small model has chunks enough for several reducers, and for its backward to overlap with sending. */
export const SMALL_CHUNK_ELEMENTS = 4 * BLOCK_ELEMENTS;
/** 4 MiB, from where there are eight of them: a message costs as much as copying a megabyte. */
export const LARGE_CHUNK_ELEMENTS = 16 * BLOCK_ELEMENTS;
/** What one side may have under way to the other at once: 8 MiB keep a link busy. */
const WINDOW_ELEMENTS = 32 * BLOCK_ELEMENTS;

/** Elements of a chunk of a vector of `total`; sums do not depend on it. */
function chunkElementsOf(total: number): number {
  return total < 8 * LARGE_CHUNK_ELEMENTS ? SMALL_CHUNK_ELEMENTS : LARGE_CHUNK_ELEMENTS;
}

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
    /** This and the next are the protocol's unless a test wants many chunks of a few elements. */
    readonly chunkElements = chunkElementsOf(total),
    /** Chunks that may be under way at once between a worker and a reducer, in each direction. */
    readonly windowChunks = Math.max(2, Math.floor(WINDOW_ELEMENTS / chunkElements)),
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
