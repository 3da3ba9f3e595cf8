// Calls of kernels that wait until somebody wants a result. Between two kernels, whose operands fill the caches, tfjs's code and
// data come from memory; for some dozen calls in a row they are read once. Calls run in the order in which they came, so memory that
// a tensor left may be taken by the next one before either was computed.
import type { Addon, Kernels } from './addon.js';

/** Those that give nothing back but in memory. */
export type QueuedKernels = Omit<Kernels, 'sumOfSquares'>;

/** As many calls wait at most: a step of a few layers has some hundred. */
const MOST_CALLS = 48;

export class CallQueue {
  private readonly calls: (() => void)[] = [];
  /** The first that has not begun. */
  private next = 0;
  /** What a call threw: those behind it would compute from what it did not write. */
  private failure: { readonly error: unknown } | null = null;

  push(call: () => void): void {
    this.calls.push(call);
    if (this.calls.length - this.next >= MOST_CALLS) this.run();
  }

  /** Runs what waits. Once a call threw, its error is thrown to all who want a result. A call may call it. */
  run(): void {
    if (this.failure) throw this.failure.error;
    try {
      while (this.next < this.calls.length) this.calls[this.next++]!();
    } catch (error) {
      this.failure ??= { error };
      throw error;
    } finally {
      this.calls.length = 0;
      this.next = 0;
    }
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
