// Who pulls which chunk of the parameters: what is there is served at once, what is not yet waits for its version.
import type { BufferPool } from './buffer-pool.js';
import type { ReducerOptions } from './events.js';
import { Publisher, type PublishedChunk } from './publisher.js';

interface Pull {
  readonly session: string;
  readonly version: number;
  readonly chunk: number;
}

/** A chunk on its way to who pulled it, of the version that it is of now. */
export type Served = Pull & PublishedChunk;

export class Pulls {
  private readonly publisher: Publisher;
  private waiting: Pull[] = [];
  /** Of the parameters as they are now. */
  version: number;

  constructor(
    private readonly options: Pick<ReducerOptions, 'grid' | 'slice' | 'parameters' | 'version'>,
    pool: BufferPool,
  ) {
    this.publisher = new Publisher(pool);
    this.version = options.version;
  }

  /** The session has received `total` chunks so far. Returns false when it cannot have. */
  acknowledge(session: string, total: number): boolean {
    return this.publisher.acknowledge(session, total);
  }

  /** What is served now, if anything; or which rule of the protocol this breaks. */
  receive(pull: Pull): readonly Served[] | { readonly fault: string } {
    const { slice, grid } = this.options;
    const { session, chunk } = pull;
    if (chunk < slice.firstChunk || chunk >= slice.endChunk)
      return { fault: `pulled chunk ${chunk}, which is not of this slice` };
    const waiting = this.waiting.filter((other) => other.session === session).length;
    if (waiting + this.publisher.unacknowledged(session) >= grid.windowChunks)
      return { fault: 'pulled too many chunks at once' };
    if (pull.version <= this.version) return [this.serve(pull)];
    this.waiting.push(pull);
    return [];
  }

  /** The parameters have become those of this version. Returns what waited for it. */
  update(version: number): Served[] {
    this.publisher.retire();
    this.version = version;
    const due = this.waiting.filter((pull) => pull.version <= version);
    this.waiting = this.waiting.filter((pull) => pull.version > version);
    return due.map((pull) => this.serve(pull));
  }

  forget(session: string): void {
    this.publisher.forget(session);
    this.waiting = this.waiting.filter((pull) => pull.session !== session);
  }

  private serve({ session, chunk }: Pull): Served {
    const { grid, parameters } = this.options;
    const start = grid.start(chunk);
    const values = parameters.subarray(start, start + grid.elements(chunk));
    const { payload, crc } = this.publisher.publish(session, chunk, values);
    return { session, version: this.version, chunk, payload, crc };
  }
}
