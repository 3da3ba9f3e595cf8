// Connections between simulated hosts. A message takes its turn at each channel on its way; the next channel begins with it as
// soon as its first bytes are there. Messages of one connection arrive in their order.
import type { VirtualClock } from './clock.js';
import type { Channel } from './resources.js';

/** Up to this size a message does not wait for other connections' large ones. */
const SMALL_BYTES = 16 * 1024;

/** What a message passes on its way to another host. */
export interface Path {
  readonly channels: readonly Channel[];
  /** Between the sender's channels and the receiver's: after so many of them. */
  readonly wire: number;
  readonly latencyMs: number;
}

/** One direction of a connection. */
export class Link {
  /** Messages that wait their turn: what follows on this connection waits behind them. */
  private queued = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly path: Path,
  ) {}

  send(bytes: number, arrived: () => void): void {
    if (this.queued === 0 && bytes <= SMALL_BYTES) return this.slipIn(bytes, arrived);
    this.queued++;
    this.pass(bytes, 0, this.clock.now, arrived);
  }

  private slipIn(bytes: number, arrived: () => void): void {
    let end = this.clock.now + this.path.latencyMs;
    for (const channel of this.path.channels) {
      channel.slipIn(bytes);
      end += channel.msFor(bytes);
    }
    this.clock.at(end, arrived);
  }

  /** @param end when its last byte has left the channel before */
  private pass(bytes: number, index: number, end: number, arrived: () => void): void {
    const { clock, path } = this;
    const channel = path.channels[index];
    if (!channel) return this.arrive(end, arrived);
    const delay = index + 1 === path.wire ? path.latencyMs : 0;
    const start = channel.begin(bytes, clock.now);
    const done = Math.max(end, start + channel.msFor(bytes)) + delay;
    const next = start + delay;
    if (next <= clock.now) this.pass(bytes, index + 1, done, arrived);
    else clock.at(next, () => this.pass(bytes, index + 1, done, arrived));
  }

  private arrive(end: number, arrived: () => void): void {
    this.clock.at(end, () => {
      this.queued--;
      arrived();
    });
  }
}
