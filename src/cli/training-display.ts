// What a person sees of a training run: one line of progress, evaluations and checkpoints above it.
import path from 'node:path';
import type { CoordinatorProcess, Outcome } from '../coordinator/process.js';
import type { OpenRun } from '../coordinator/run.js';
import type { StepCommitted, TrainingEvent } from '../metrics/events.js';
import { createProgress, formatCount, type Progress, type ProgressStream } from './progress.js';

export interface TrainingSummary {
  readonly run: string;
  readonly steps: number;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly unigramLoss: number | null;
  readonly checkpoint: string;
}

export interface TrainingDisplay {
  readonly on: (event: TrainingEvent) => void;
  start(run: OpenRun, coordinator: CoordinatorProcess): void;
  log(line: string): void;
  summary(outcome: Outcome): TrainingSummary;
  summaryText(outcome: Outcome): string;
  /** Ends the line of progress; calls that follow print plain lines. */
  close(): void;
}

/** Weight of the newest step in the displayed throughput. */
const SMOOTHING = 0.2;

/** Whether the run had all its steps when it was opened. */
export function isTrained({ config, progress }: OpenRun): boolean {
  return progress.version >= config.steps;
}

export function createTrainingDisplay(stream: ProgressStream): TrainingDisplay {
  return new Display(stream);
}

class Display implements TrainingDisplay {
  private progress: Progress | undefined;
  private run: OpenRun | undefined;
  private workers = 0;
  private tokensPerSecond: number | undefined;
  private lastStep: StepCommitted | undefined;
  private validationLoss: number | null = null;

  constructor(private readonly stream: ProgressStream) {}

  start(run: OpenRun, coordinator: CoordinatorProcess): void {
    this.run = run;
    const { trainable } = run.layout;
    const { config, progress } = run;
    this.progress = createProgress(this.stream, { label: 'train', total: config.steps, unit: 'steps' });
    const from = isTrained(run)
      ? ', trained already (raise steps to go on)'
      : run.resumed
        ? `, going on from step ${progress.version}`
        : '';
    this.log(
      `Training ${path.relative(process.cwd(), run.directory.path) || '.'}: ${formatCount(trainable)} parameters, ${config.steps} steps${from}.`,
    );
    if (coordinator.httpUrl) this.log(`Metrics: ${coordinator.httpUrl}/metrics`);
    this.draw(progress.version);
  }

  readonly on = (event: TrainingEvent): void => {
    switch (event.kind) {
      case 'stepCommitted': {
        const rate = (event.tokens + event.sourceTokens) / Math.max(event.seconds, 1e-9);
        this.tokensPerSecond =
          this.tokensPerSecond === undefined
            ? rate
            : this.tokensPerSecond + SMOOTHING * (rate - this.tokensPerSecond);
        this.lastStep = event;
        this.draw(event.version);
        break;
      }
      case 'stepSkipped':
        this.log(
          `step ${event.step} skipped: ${event.reason === 'no_tokens' ? 'no token carries loss' : 'its gradient is not finite'}`,
        );
        this.draw(event.version);
        break;
      case 'evaluated':
        this.validationLoss = event.loss;
        this.log(`step ${event.version}: validation loss ${event.loss.toFixed(3)}${this.baseline()}`);
        break;
      case 'workerStates':
        this.workers = event.counts.ready ?? 0;
        break;
      case 'workerLeft':
        if (event.reason !== 'finished') this.log(`a worker left (${event.reason})`);
        break;
      case 'checkpointFailed':
        this.log(`the checkpoint of step ${event.step} could not be written: ${event.reason}`);
        break;
      default:
    }
  };

  log(line: string): void {
    if (this.progress) this.progress.log(line);
    else this.stream.write(`${line}\n`);
  }

  summary(outcome: Outcome): TrainingSummary {
    const run = this.run!;
    return {
      run: run.directory.path,
      steps: outcome.version,
      loss: this.lastStep?.loss ?? null,
      validationLoss: this.validationLoss,
      unigramLoss: run.dataset.manifest.unigramNats,
      checkpoint: `${run.directory.checkpoints.url}/step-${outcome.version}`,
    };
  }

  summaryText(outcome: Outcome): string {
    const { steps, validationLoss, checkpoint } = this.summary(outcome);
    const loss =
      validationLoss === null ? '' : `, validation loss ${validationLoss.toFixed(3)}${this.baseline()}`;
    return `Trained ${formatCount(steps)} steps${loss}.\nCheckpoint (a Hugging Face model): ${checkpoint}`;
  }

  close(): void {
    this.progress?.close();
    this.progress = undefined;
  }

  private baseline(): string {
    const unigram = this.run?.dataset.manifest.unigramNats;
    return unigram ? ` (word frequencies alone: ${unigram.toFixed(3)})` : '';
  }

  private draw(version: number): void {
    const details = [];
    if (this.lastStep) details.push(`loss ${this.lastStep.loss.toFixed(3)}`);
    if (this.tokensPerSecond !== undefined)
      details.push(`${formatCount(Math.round(this.tokensPerSecond))} tokens/s`);
    details.push(`${this.workers} ${this.workers === 1 ? 'worker' : 'workers'}`);
    this.progress?.update(version, details);
  }
}
