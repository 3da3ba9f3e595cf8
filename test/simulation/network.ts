// Links between simulated processes: what was sent on one arrives in order, but which link delivers next is the
// generator's choice, and some links are much slower than others.
import type { Random } from './random.js';

export interface Link {
  readonly from: string;
  readonly to: string;
  /** Probability that it delivers when it is chosen. */
  readonly speed: number;
  queue: (() => void)[];
}

export class Network {
  private readonly links = new Map<string, Link>();

  constructor(private readonly random: Random) {}

  /** `deliver` is called when the message arrives; `lane` parts links between the same two processes. */
  send(from: string, to: string, deliver: () => void, lane = ''): void {
    const key = `${from}>${to}${lane}`;
    let link = this.links.get(key);
    if (!link) {
      link = { from, to, speed: this.random.chance(0.2) ? 0.03 : 1, queue: [] };
      this.links.set(key, link);
    }
    link.queue.push(deliver);
  }

  get busy(): Link[] {
    return [...this.links.values()].filter(({ queue }) => queue.length > 0);
  }

  deliver(link: Link): void {
    if (this.random.chance(link.speed)) link.queue.shift()!();
  }

  /** The process died: some of what it sent last is lost, and `peers` notice in the end. */
  kill(process: string, notice: (peer: string) => (() => void) | undefined): void {
    for (const [key, link] of this.links) {
      if (link.to === process) this.links.delete(key);
      else if (link.from === process) link.queue.length = this.random.below(link.queue.length + 1);
    }
    for (const { from, to, queue } of this.links.values()) {
      const noticed = from === process ? notice(to) : undefined;
      if (noticed) queue.push(noticed);
    }
  }

  clear(): void {
    this.links.clear();
  }
}
