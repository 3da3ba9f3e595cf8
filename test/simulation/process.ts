// What a simulated process has in common with every other: it can be stopped and continued, it dies, and its clock may
// leap. While it stands still what would happen to it waits, as in the buffers of its sockets.
import type { VirtualClock } from '../../src/simulation/clock.js';

export class Process {
  isAlive = true;
  private frozen = false;
  private readonly waiting: (() => void)[] = [];
  private tickIsDue = false;
  private skew = 0; // ms

  constructor(
    readonly name: string,
    protected readonly clock: VirtualClock,
  ) {}

  /** Its own monotonic clock. */
  now(): number {
    return this.clock.now + this.skew;
  }

  get isFrozen(): boolean {
    return this.frozen;
  }

  /** Something happens to the process: now, when it goes on, or never when it is dead. */
  run(body: () => void): void {
    if (!this.isAlive) return;
    if (this.frozen) this.waiting.push(body);
    else body();
  }

  after(delayMs: number, body: () => void): void {
    this.clock.after(delayMs, () => this.run(body));
  }

  /** Calls `tick` at an interval. Like setInterval it does not catch up on what it missed. */
  every(intervalMs: number, tick: () => void): void {
    const once = (): void => {
      if (!this.isAlive) return;
      if (this.frozen) this.tickIsDue = true;
      else tick();
      this.clock.after(intervalMs, once);
    };
    this.tick = tick;
    this.clock.after(intervalMs, once);
  }
  private tick: () => void = () => undefined;

  /** SIGSTOP. */
  freeze(): void {
    this.frozen = true;
  }

  /** SIGCONT: what came meanwhile is seen now, before or after the clock. */
  thaw(tickFirst: boolean): void {
    if (!this.frozen) return;
    this.frozen = false;
    const tick = (): void => {
      if (this.tickIsDue && this.isAlive) this.tick();
      this.tickIsDue = false;
    };
    if (tickFirst) tick();
    for (const body of this.waiting.splice(0)) this.run(body);
    tick();
  }

  leap(ms: number): void {
    this.skew += ms;
  }

  kill(): void {
    this.isAlive = false;
    this.waiting.length = 0;
  }
}
