// Calls of kernels that wait until somebody wants a result. Between two kernels, whose operands fill the caches, tfjs's code and
// data come from memory; for hundreds of calls in a row they are read once, and then the addon makes the calls by itself. They
// run in the order in which they came, so memory that a tensor left may be taken by the next one before either was computed.
import type { Addon, QueuedKernels } from './addon.js';

/** As many calls wait at most: a step of a few layers has some hundred. */
const MOST_CALLS = 1000;

export class CallQueue {
  readonly kernels: QueuedKernels;
  /** What kernels were asked for, since the queue was empty, with the memory that they work on: it must live. */
  private readonly waiting: unknown[] = [];
  /** What runs between kernels, each with the number of kernels that were asked for before it. */
  private readonly between: { readonly after: number; readonly call: () => void }[] = [];
  private readonly runKernels: (count: number) => void;
  private asked = 0;
  private made = 0;
  /** What a call threw: those behind it would compute from what it did not write. */
  private failure: { readonly error: unknown } | null = null;

  constructor(addon: Pick<Addon, 'makeQueue'>) {
    type Kernel = (...given: unknown[]) => void;
    const { run, ...kernels } = addon.makeQueue();
    this.runKernels = run;
    const waiting = Object.entries(kernels as unknown as Readonly<Record<string, Kernel>>).map(
      ([name, kernel]) => [name, (...given: unknown[]) => this.ask(kernel, given)],
    );
    this.kernels = Object.fromEntries(waiting) as QueuedKernels;
  }

  /** Runs `call` after the kernels that were asked for before it. */
  push(call: () => void): void {
    this.between.push({ after: this.asked, call });
    this.limit();
  }

  /** Runs what waits. Once a call threw, its error is thrown to all who want a result. A call may call it. */
  run(): void {
    if (this.failure) throw this.failure.error;
    try {
      for (let next = this.between.shift(); next; next = this.between.shift()) {
        this.makeCalls(next.after);
        next.call();
      }
      this.makeCalls(this.asked);
    } catch (error) {
      this.failure ??= { error };
      throw error;
    } finally {
      this.waiting.length = 0;
    }
  }

  private ask(kernel: (...given: unknown[]) => void, given: unknown[]): void {
    kernel(...given); // the addon throws here at what it does not take
    this.waiting.push(given);
    this.asked++;
    this.limit();
  }

  private limit(): void {
    if (this.waiting.length + this.between.length >= MOST_CALLS) this.run();
  }

  /** The kernels' calls up to the `end`th. */
  private makeCalls(end: number): void {
    const count = end - this.made;
    this.made = end;
    this.runKernels(count);
  }
}
