// Steps whose gradient is not finite: computed a second time, and skipped if that is not finite either. How many in a row.
import type { Decisions } from './decisions.js';
import { firstOf, type NonFinite } from './reducer/inspection.js';

export class StepTrouble {
  /** Computations of this step whose sum was not finite. */
  private computations = 0;
  private skips = 0;

  constructor(
    private readonly maxSkips: number,
    private readonly nameOfParameter: (element: number) => string,
    private readonly decisions: Decisions,
  ) {}

  /** The last steps were skipped for it: nothing says that the parameters are good. */
  get isGoingOn(): boolean {
    return this.skips > 0;
  }

  /** Whether this step's sum was not finite once: what follows is the second computation. */
  get isComputedAgain(): boolean {
    return this.computations > 0;
  }

  /** Steps skipped in a row, once they are as many as the run allows; undefined before. */
  get limitReached(): number | undefined {
    return this.skips >= this.maxSkips ? this.skips : undefined;
  }

  /** The sum of a computation is not finite: whether the step is to be computed once more. */
  computeAgain(step: number, found: readonly (NonFinite | null)[]): boolean {
    if (++this.computations === 1) {
      this.decisions.log('warn', `the gradient of step ${step} is not finite; computing it a second time`);
      return true;
    }
    const first = found.reduce(firstOf, null);
    const what = first ? this.describe(first) : 'the gradient';
    this.decisions.log('warn', `step ${step} is skipped: ${what} is not finite, twice`);
    return false;
  }

  /** The step is over: it was skipped for this, or not. */
  stepEnded(step: number, skipped: boolean): void {
    if (!skipped && this.computations > 0) {
      const message = `the gradient of step ${step} is finite when computed a second time: a worker has computed wrongly`;
      this.decisions.log('warn', message);
    }
    this.skips = skipped ? this.skips + 1 : 0;
    this.computations = 0;
  }

  private describe({ where, microBatch, element }: NonFinite): string {
    const name = this.nameOfParameter(element);
    if (where === 'parameters') return `the parameter ${name} itself`;
    if (where === 'sum') return `the gradient of ${name}, summed over micro-batches that are each finite,`;
    return `the gradient of ${name} in micro-batch ${microBatch}`;
  }
}
