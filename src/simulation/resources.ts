// What a simulated cluster has only so much of: the two directions of a network interface, threads, cores. Each serves one thing
// after another, in the order in which they come, and counts how long it was busy.
import type { VirtualClock } from './clock.js';

/** A rate of bytes: one direction of a network interface, or the thread that moves bytes between it and memory. */
export class Channel {
  /** Everything it has been given. */
  busyMs = 0;
  private freeAt = 0;

  /** @param msPerByte 0: no limit */
  constructor(private readonly msPerByte: number) {}

  /** When it begins with a message that is there at `now`; from then on it is busy with it for `msFor(bytes)`. */
  begin(bytes: number, now: number): number {
    const start = Math.max(now, this.freeAt);
    this.freeAt = start + this.msFor(bytes);
    this.busyMs += this.msFor(bytes);
    return start;
  }

  /** A message so small that it goes between the parts of large ones, as connections share a link. */
  slipIn(bytes: number): void {
    this.busyMs += this.msFor(bytes);
    this.freeAt += this.msFor(bytes);
  }

  msFor(bytes: number): number {
    return bytes * this.msPerByte;
  }
}

/** What threads of one host run on: together they get no more than `count` cores' time. */
export class Cores {
  private freeAt = 0;

  constructor(private readonly count: number) {}

  /** Gives a thread so much time of a core, and returns when it may begin. */
  begin(ms: number, now: number): number {
    const start = Math.max(now, this.freeAt);
    this.freeAt = start + ms / this.count;
    return start;
  }
}

interface Work {
  readonly ms: number;
  readonly body: () => void;
}

/** A thread: what it is given to do waits for its turn, takes its time, and happens at the end of it. */
export class Thread {
  busyMs = 0;
  private waiting: Work[] = [];
  private next = 0;
  private isBusy = false;
  private spentMs = 0;
  private readonly leaving: (() => void)[] = [];

  constructor(
    private readonly clock: VirtualClock,
    private readonly cores: Cores,
  ) {}

  run(ms: number, body: () => void): void {
    this.waiting.push({ ms, body });
    if (!this.isBusy) this.turn();
  }

  /** What is going on takes so much longer: called from the body of work. */
  spend(ms: number): void {
    this.spentMs += ms;
  }

  /** Does something when the time that has been spent is over: what leaves a thread leaves it then. */
  leave(body: () => void): void {
    if (this.spentMs > 0) this.leaving.push(body);
    else body();
  }

  private turn(): void {
    const work = this.take();
    this.isBusy = work !== undefined;
    if (work) this.pass(work.ms, () => this.carryOut(work));
  }

  private carryOut(work: Work): void {
    work.body();
    const { spentMs } = this;
    if (spentMs === 0) return this.turn();
    this.pass(spentMs, () => {
      this.spentMs = 0;
      for (const body of this.leaving.splice(0)) body();
      this.turn();
    });
  }

  private pass(ms: number, then: () => void): void {
    this.busyMs += ms;
    const start = this.cores.begin(ms, this.clock.now);
    this.clock.at(start + ms, then);
  }

  private take(): Work | undefined {
    if (this.next > 1024) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    return this.waiting[this.next] && this.waiting[this.next++];
  }
}
