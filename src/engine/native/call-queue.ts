// Calls of kernels that wait until somebody wants a result. Between two kernels, whose operands fill the caches, tfjs's code and
// data come from memory; for hundreds of calls in a row they are read once, and then the addon makes the calls by itself. They
// run in the order in which they came, so memory that a tensor left may be taken by the next one before either was computed.
import type { Addon, QueuedKernels } from './addon.js';
import type { CallObserver, KeptKernels } from './recorder.js';
import { addKernels, type Steps } from './steps.js';
import { type Kernel, wrapKernels } from './wrap-kernels.js';

/** From as many on, calls do not wait: a step of a few layers has one or two hundred. */
const MOST_CALLS = 1000;

export class CallQueue {
  readonly kernels: QueuedKernels;
  observer: CallObserver | null = null;
  /** What waits; the kernels' calls are in the addon's queue. */
  private readonly steps: Steps<() => void> = [];
  /** Calls that wait. */
  private waiting = 0;
  /** The arguments of kernels that wait: the addon has only pointers into them. */
  private readonly held: unknown[] = [];
  private readonly runKernels: (count: number) => void;
  /** What a call threw: those behind it would compute from what it did not write. */
  private failure: { readonly error: unknown } | null = null;

  constructor(private readonly addon: Pick<Addon, 'makeQueue' | 'repeatCalls'>) {
    const { kernels, run } = addon.makeQueue();
    this.runKernels = run;
    this.kernels = wrapKernels(
      kernels,
      (kernel) =>
        (...given) =>
          this.enqueue(kernel, given),
    );
  }

  /** Runs `call` after the kernels that were asked for before it, and before those behind it. */
  push(call: () => void): void {
    this.throwFailure();
    this.observer?.asked(() => this.push(call));
    this.steps.push(call);
    this.added(1);
  }

  /** Kernels that were asked for before are asked for once more. */
  repeatKernels(kernels: KeptKernels, first: number, count: number): void {
    this.throwFailure();
    this.addon.repeatCalls(kernels.calls, first, count);
    this.held.push(kernels.held);
    addKernels(this.steps, count);
    this.added(count);
  }

  /** Runs what waits. Once a call threw, its error is thrown to all who want something. A call may call it. */
  run(): void {
    this.observer?.read();
    this.runUnobserved();
  }

  /** The same for who does not want to know what was computed. */
  runUnobserved(): void {
    this.throwFailure();
    try {
      for (let step = this.steps.shift(); step !== undefined; step = this.steps.shift()) {
        if (typeof step === 'number') this.runKernels(step);
        else step();
        this.throwFailure(); // of a run within
      }
    } catch (error) {
      this.failure ??= { error };
      this.steps.length = 0;
      throw error;
    } finally {
      this.held.length = 0;
      this.waiting = 0;
    }
  }

  private enqueue(kernel: Kernel, given: unknown[]): void {
    this.throwFailure();
    kernel(...given); // the addon throws here at what it does not take
    this.observer?.kernel(given);
    this.held.push(given);
    addKernels(this.steps, 1);
    this.added(1);
  }

  private added(count: number): void {
    this.waiting += count;
    if (this.waiting >= MOST_CALLS) this.runUnobserved();
  }

  private throwFailure(): void {
    if (this.failure) throw this.failure.error;
  }
}
