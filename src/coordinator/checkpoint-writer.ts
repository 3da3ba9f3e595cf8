// A checkpoint's way to disk: room is made, the reducers write their slices, the store makes it valid. All of it
// beside the training, one checkpoint at a time.
import type { Logger } from 'pino';
import type { BegunCheckpoint } from '../checkpoint/store.js';
import type { TrainingEvent } from '../metrics/events.js';
import { messageOf } from '../util/errors.js';
import type { CoordinatorEvent, Progress } from './events.js';
import type { Reducers } from './reducers.js';
import { stateOf, type OpenRun } from './run.js';

export interface CheckpointHandlers {
  decide(event: CoordinatorEvent): void;
  publish(event: TrainingEvent): void;
  /** Settles when what was published so far is recorded. */
  flush(): Promise<void>;
}

export class CheckpointWriter {
  private begun: BegunCheckpoint | undefined;
  private startedAt = 0;
  /** Where the newest checkpoint lies; null when there is none. */
  newest: string | null;
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly run: OpenRun,
    private readonly reducers: Reducers,
    private readonly handlers: CheckpointHandlers,
    private readonly log: Logger,
    /** In milliseconds since 1970. */
    private readonly wallClock: () => number = Date.now,
  ) {
    this.newest = run.resumedFrom;
  }

  /** Copies the current version now (the copy is ordered among the commits), and writes it when there is room. */
  snapshot(version: number): void {
    this.startedAt = performance.now();
    this.reducers.tellAll({ type: 'snapshot', version });
    this.work = this.begin(version);
  }

  private async begin(version: number): Promise<void> {
    try {
      this.begun = await this.run.store.begin(version, this.run.term.number);
    } catch (error) {
      this.reducers.tellAll({ type: 'write', version, files: null });
      return this.fail(version, messageOf(error));
    }
    const { model, optimizer } = this.begun;
    this.reducers.tellAll({ type: 'write', version, files: { model, optimizer } });
  }

  /** A reducer has written its slice, or could not. */
  written(version: number, failure: string | null): void {
    if (this.begun?.step !== version) return;
    if (failure === null) this.handlers.decide({ type: 'sliceWritten', version });
    else this.work = this.abandon(this.begun, failure);
  }

  publish(progress: Progress, validationLoss: number | null): void {
    const { begun } = this;
    if (begun) this.work = this.finish(begun, progress, validationLoss);
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.work;
  }

  private async finish(
    begun: BegunCheckpoint,
    progress: Progress,
    validationLoss: number | null,
  ): Promise<void> {
    try {
      await this.handlers.flush(); // a checkpoint never knows of a step that metrics.jsonl does not
      const info = await this.run.store.finish(
        begun,
        stateOf(this.run, progress, validationLoss, this.wallClock() / 1000),
      );
      this.begun = undefined;
      this.newest = info.directory;
      const seconds = (performance.now() - this.startedAt) / 1000;
      const { step } = begun;
      const { directory, bytes } = info;
      this.handlers.publish({ kind: 'checkpointWritten', step, directory, seconds, bytes });
      this.log.info({ step, directory }, 'checkpoint written');
      this.handlers.decide({ type: 'checkpointEnded', version: step, saved: true });
    } catch (error) {
      this.fail(begun.step, messageOf(error));
    }
  }

  private async abandon(begun: BegunCheckpoint, failure: string): Promise<void> {
    this.begun = undefined;
    await this.run.store.abandon(begun).catch((error: unknown) => this.log.warn(messageOf(error)));
    this.fail(begun.step, failure);
  }

  private fail(version: number, reason: string): void {
    this.begun = undefined;
    this.log.error({ step: version }, `the checkpoint could not be written: ${reason}`);
    this.handlers.publish({ kind: 'checkpointFailed', step: version, reason });
    this.handlers.decide({ type: 'checkpointEnded', version, saved: false });
  }
}
