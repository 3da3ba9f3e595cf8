// A checkpoint between its snapshot and its publication: what it still waits for.
import type { Progress } from './events.js';

export class PendingCheckpoint {
  validationLoss: number | null = null;
  private slicesWritten = 0;
  private publishing = false;

  /** @param evaluationDue whether the same version is being evaluated, so that its loss is to be saved with it */
  constructor(
    public progress: Progress,
    private readonly reducers: number,
    private evaluationDue: boolean,
  ) {}

  sliceWritten(version: number): void {
    if (version === this.progress.version) this.slicesWritten++;
  }

  /** The evaluation of `progress` ended, with a loss or without. */
  evaluated(progress: Progress, loss: number | null): void {
    if (progress.version !== this.progress.version) return;
    this.evaluationDue = false;
    this.validationLoss = loss;
    this.progress = progress;
  }

  /** True once: when every slice is written and nothing else is waited for. */
  takeReady(): boolean {
    if (this.publishing || this.evaluationDue || this.slicesWritten < this.reducers) return false;
    this.publishing = true;
    return true;
  }
}
