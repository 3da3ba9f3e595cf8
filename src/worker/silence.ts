// How long the coordinator has been silent. While this process stands still it hears nobody: that time does not count.

export class Silence {
  private lastHeard: number; // ms
  private lastTick: number; // ms

  constructor(
    private readonly heartbeat: { readonly intervalMs: number; readonly timeoutMs: number },
    now: number,
  ) {
    this.lastHeard = now;
    this.lastTick = now;
  }

  broken(now: number): void {
    this.lastHeard = now;
  }

  /** To be asked once every interval. */
  isTooLong(now: number): boolean {
    const { intervalMs, timeoutMs } = this.heartbeat;
    const stalled = now - this.lastTick - intervalMs;
    if (stalled > timeoutMs / 2) this.lastHeard += stalled;
    this.lastTick = now;
    return now - this.lastHeard > timeoutMs;
  }
}
