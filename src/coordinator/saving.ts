// Which version is saved, and which is being saved: one checkpoint at a time.
import type { Decisions } from './decisions.js';
import type { Progress } from './events.js';
import { PendingCheckpoint } from './pending-checkpoint.js';

export class Saving {
  private pending: PendingCheckpoint | undefined;

  constructor(
    private readonly reducers: number,
    private readonly decisions: Decisions,
    /** The newest version that was saved; -1 when none was. */
    private savedVersion: number,
  ) {}

  get isBusy(): boolean {
    return this.pending !== undefined;
  }

  /** Where the run can be taken up again, in words. */
  get newest(): string {
    return this.savedVersion < 0
      ? 'no checkpoint was written yet'
      : `the newest checkpoint is of step ${this.savedVersion}`;
  }

  isSaved(version: number): boolean {
    return this.savedVersion === version;
  }

  /** @param evaluationDue whether the same version is being evaluated, so that its loss is to be saved with it */
  begin(progress: Progress, evaluationDue: boolean): void {
    this.pending = new PendingCheckpoint(progress, this.reducers, evaluationDue);
    this.decisions.add({ type: 'snapshot', progress });
    this.decisions.publish({ kind: 'checkpointStarted', step: progress.version });
  }

  sliceWritten(version: number): void {
    this.pending?.sliceWritten(version);
  }

  /** The evaluation of `progress` ended, with a loss or without. */
  evaluated(progress: Progress, loss: number | null): void {
    this.pending?.evaluated(progress, loss);
  }

  ended(version: number, saved: boolean): void {
    if (saved) this.savedVersion = version;
    this.pending = undefined;
  }

  tryPublish(): void {
    if (!this.pending?.takeReady()) return;
    const { progress, validationLoss } = this.pending;
    this.decisions.add({ type: 'publish', progress, validationLoss });
  }
}
