// How long the coordinator has been silent, but for the time in which this process stood still.
import { Standstill } from '../util/standstill.js';

export class Silence {
  private readonly standstill: Standstill;
  private lastHeard: number; // ms

  constructor(
    private readonly heartbeat: { readonly intervalMs: number; readonly timeoutMs: number },
    now: number,
  ) {
    this.standstill = new Standstill(heartbeat);
    this.standstill.tick(now);
    this.lastHeard = now;
  }

  broken(now: number): void {
    this.lastHeard = now;
  }

  /** To be asked once every interval. */
  isTooLong(now: number): boolean {
    this.lastHeard += this.standstill.tick(now);
    return now - this.lastHeard > this.heartbeat.timeoutMs;
  }
}
