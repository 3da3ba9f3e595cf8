// Notices that this process itself stood still (a suspended machine, a debugger): its ticks come late. It heard nobody
// meanwhile, so that time does not count as the silence of others.

export class Standstill {
  private lastTick: number | undefined; // ms

  constructor(private readonly heartbeat: { readonly intervalMs: number; readonly timeoutMs: number }) {}

  /** To be told at least once every interval. Returns how many ms it stood still before; 0 where that was too short to matter. */
  tick(now: number): number {
    const { intervalMs, timeoutMs } = this.heartbeat;
    const late = now - (this.lastTick ?? now) - intervalMs;
    this.lastTick = now;
    return late > timeoutMs / 2 ? late : 0;
  }
}
