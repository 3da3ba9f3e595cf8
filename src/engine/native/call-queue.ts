// Calls of kernels that wait until somebody wants a result. Between two kernels, whose operands fill the caches, tfjs's code and
// data come from memory; for some dozen calls in a row they are read once. Calls run in the order in which they came, so memory that
// a tensor left may be taken by the next one before either was computed.
import type { Addon, Kernels } from './addon.js';

/** Those that give nothing back but in memory. */
export type QueuedKernels = Omit<Kernels, 'sumOfSquares'>;

/** As many calls wait at most: a step of a few layers has some hundred. */
const MOST_CALLS = 48;

export class CallQueue {
  private calls: (() => void)[] = [];

  push(call: () => void): void {
    this.calls.push(call);
    if (this.calls.length >= MOST_CALLS) this.run();
  }

  /** Runs what waits. A call that throws takes those behind it with it: they would compute from what it did not write. */
  run(): void {
    if (this.calls.length === 0) return;
    const { calls } = this;
    this.calls = [];
    for (const call of calls) call();
  }

  /** The addon's kernels, each call of which waits here. */
  kernelsOf(addon: Addon): QueuedKernels {
    type Kernel = (...given: unknown[]) => void;
    const functions = addon as unknown as Readonly<Record<string, Kernel>>;
    const queued = Object.keys(addon.naive).map((name) => [
      name,
      (...given: unknown[]) => this.push(() => functions[name]!(...given)),
    ]);
    return Object.fromEntries(queued) as QueuedKernels;
  }
}
