// How long the addon's functions take: each is replaced, on the one object that this thread has of it, by one that
// looks at the clock before and after. That is some hundred readings a step, a tenth of a millisecond at most.
import type { Addon } from '../../src/engine/native/addon.js';

export interface KernelTime {
  readonly name: string;
  readonly calls: number;
  readonly seconds: number;
}

export class KernelTimes {
  private times = new Map<string, { calls: number; ms: number }>();

  constructor(addon: Addon) {
    for (const name of Object.keys(addon)) {
      const kernel: unknown = Reflect.get(addon, name);
      if (typeof kernel === 'function') Reflect.set(addon, name, this.timed(name, kernel));
    }
  }

  /** What was spent since the last time this was asked, longest first. */
  take(): KernelTime[] {
    const taken = [...this.times].map(([name, { calls, ms }]) => ({ name, calls, seconds: ms / 1000 }));
    this.times.clear();
    return taken.sort((a, b) => b.seconds - a.seconds);
  }

  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- whatever the addon exports
  private timed(name: string, kernel: Function) {
    return (...args: unknown[]): unknown => {
      const startedAt = performance.now();
      const result: unknown = Reflect.apply(kernel, undefined, args);
      const ms = performance.now() - startedAt;
      const time = this.times.get(name);
      if (time) {
        time.calls++;
        time.ms += ms;
      } else this.times.set(name, { calls: 1, ms });
      return result;
    };
  }
}
