// Sample predictions of a run: after a checkpoint the model that it holds is asked about a few held-out samples. It never holds
// a step up: a thread of the lowest priority reads the stored checkpoint, rests 19 times as long as it worked, and then takes the newest.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Publish, TrainingEvent } from '../../metrics/events.js';
import { messageOf } from '../../util/errors.js';
import type { OpenRun } from '../run.js';
import type { SamplesDone, SamplesTask } from './thread.js';

/** At most this share of the time is spent on it. */
const SHARE = 0.05;
/** A run that is complete waits this long for the predictions of its last checkpoint. */
const DRAIN_SECONDS = 10;

/** @param run whose checkpoints are asked */
export function samplesTask({ config, directory, dataset }: OpenRun): SamplesTask {
  const { window, objective, tracking } = config;
  const storage = directory.storage.url;
  return { storage, data: dataset.directory, window, objective, samples: tracking.samples };
}

export class Sampler {
  private isDue = false;
  private completed = false;
  private closing = false;
  private hasFailed = false;
  /** At the end nobody waits for them any more. */
  private isGivenUp = false;
  private running: Promise<void> | undefined;
  private thread: Worker | undefined;
  private resting: NodeJS.Timeout | undefined;

  constructor(
    private readonly task: SamplesTask,
    private readonly publish: Publish,
    /** Told in one sentence, once. */
    private readonly onFailure: (message: string) => void,
    private readonly drainSeconds = DRAIN_SECONDS,
  ) {}

  readonly on = (event: TrainingEvent): void => {
    if (event.kind === 'runEnded') this.completed = event.reason === 'completed';
    if (event.kind !== 'checkpointWritten' || this.task.samples === 0) return;
    this.isDue = true;
    if (!this.resting) this.start();
  };

  /** Tells of the last checkpoint, if the run is complete and it does not take long. */
  async close(): Promise<void> {
    this.closing = true;
    clearTimeout(this.resting);
    const mostSeconds = this.completed && (this.running || this.isDue) ? this.drainSeconds : 0;
    if (mostSeconds > 0) this.publish({ kind: 'lastPredictionsAwaited', mostSeconds });
    const giveUp = setTimeout(() => {
      this.isGivenUp = true;
      void this.thread?.terminate();
    }, 1000 * mostSeconds);
    await this.running;
    if (this.completed && this.isDue && !this.isGivenUp) this.start();
    await this.running;
    clearTimeout(giveUp);
  }

  private start(): void {
    this.running ??= this.run();
  }

  private async run(): Promise<void> {
    this.isDue = false;
    const startedAt = performance.now();
    try {
      const { version, predictions } = await this.ask();
      if (predictions.length > 0) this.publish({ kind: 'predicted', version, predictions });
    } catch (error) {
      if (!this.hasFailed && !this.isGivenUp)
        this.onFailure(`There are no sample predictions: ${messageOf(error)}`);
      this.hasFailed = true;
    }
    this.running = undefined;
    if (this.closing) return;
    const restMs = (performance.now() - startedAt) * (1 / SHARE - 1);
    this.resting = setTimeout(() => {
      this.resting = undefined;
      if (this.isDue) this.start();
    }, restMs).unref();
  }

  private async ask(): Promise<SamplesDone> {
    const thread = new Worker(new URL('./thread.js', import.meta.url), { workerData: this.task });
    this.thread = thread;
    const exited = once(thread, 'exit').then(() => {
      throw new Error('its thread ended early');
    });
    const told = once(thread, 'message').then(([done]) => done as SamplesDone);
    try {
      return await Promise.race([told, exited]);
    } finally {
      await exited.catch(() => undefined);
      this.thread = undefined;
    }
  }
}
