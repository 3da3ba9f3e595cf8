// Sends in order, one at a time: a ZeroMQ socket allows a single send under way.

type Frames = readonly Uint8Array[];

/** What a ROUTER says of a peer that has gone. */
const PEER_GONE = 'EHOSTUNREACH';

export class SendQueue {
  private readonly waiting: Frames[] = [];
  private running: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly sendOne: (frames: Uint8Array[]) => Promise<void>) {}

  push(frames: Frames): void {
    if (this.closed) return;
    this.waiting.push(frames);
    this.running ??= this.run();
  }

  async flushed(): Promise<void> {
    await this.running;
  }

  close(): void {
    this.closed = true;
    this.waiting.length = 0;
  }

  private async run(): Promise<void> {
    for (let frames = this.waiting.shift(); frames; frames = this.waiting.shift()) {
      try {
        await this.sendOne([...frames]);
      } catch (error) {
        if (this.closed) break;
        if ((error as NodeJS.ErrnoException).code !== PEER_GONE) throw error;
      }
    }
    this.running = undefined;
  }
}
