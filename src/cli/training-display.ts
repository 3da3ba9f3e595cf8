// What a person sees of a training run in this process, and the summary at its end.
import path from 'node:path';
import type { CoordinatorProcess, Outcome } from '../coordinator/process.js';
import type { OpenRun } from '../coordinator/run.js';
import type { RunView } from '../live/run-view.js';
import type { TrainingEvent } from '../metrics/events.js';
import { dependsOnSteps } from '../optim/schedule.js';
import { formatCount } from '../util/format.js';
import { createRunDisplay, type RunDisplay } from './run-display.js';
import type { TextStream } from './screen.js';
import { baseline, worthALine } from './worth-a-line.js';

export interface TrainingSummary {
  readonly run: string;
  readonly steps: number;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly unigramLoss: number | null;
  /** The newest; null when there is none. */
  readonly checkpoint: string | null;
}

export interface TrainingDisplay {
  readonly on: (event: TrainingEvent, view: RunView) => void;
  start(run: OpenRun, coordinator: CoordinatorProcess): void;
  log(text: string): void;
  summary(outcome: Outcome): TrainingSummary;
  summaryText(outcome: Outcome): string;
  /** Ends the display in place; calls that follow print plain lines. */
  close(): void;
}

/** Whether the run had all its steps when it was opened. */
export function isTrained({ config, progress }: OpenRun): boolean {
  return progress.version >= config.steps;
}

export function createTrainingDisplay(stream: TextStream): TrainingDisplay {
  return new Display(stream);
}

/** For a browser on this machine: what listens at all addresses has none of its own. */
function urlHere(url: string): string {
  return url.replace(/\/\/(0\.0\.0\.0|\[::\]):/, '//127.0.0.1:');
}

function howToGoOn({ name, optimizer }: OpenRun['config']): string {
  return dependsOnSteps(optimizer.schedule.kind)
    ? `its ${optimizer.schedule.kind} schedule ends there: another run goes on with initialise: ${name}`
    : 'raise steps to go on';
}

class Display implements TrainingDisplay {
  private display: RunDisplay | undefined;
  private run: OpenRun | undefined;
  private view: RunView | undefined;

  constructor(private readonly stream: TextStream) {}

  start(run: OpenRun, coordinator: CoordinatorProcess): void {
    this.run = run;
    const { trainable } = run.layout;
    const { config, progress } = run;
    const from = isTrained(run)
      ? `, trained already (${howToGoOn(config)})`
      : run.resumedFrom !== null
        ? `, going on from step ${progress.version}`
        : '';
    this.log(
      `Training ${path.relative(process.cwd(), run.directory.path) || '.'}: ${formatCount(trainable)} parameters, ${formatCount(config.steps)} steps${from}.`,
    );
    const url = coordinator.httpUrl === undefined ? null : urlHere(coordinator.httpUrl);
    if (url !== null) {
      const beyond = url === coordinator.httpUrl ? '' : ", and at this machine's other addresses";
      this.log(`Live page: ${url}${beyond}  (metrics: ${url}/metrics)`);
    }
    this.display = createRunDisplay(this.stream, { label: 'train', url });
    if (this.view) this.display.update(this.view);
  }

  readonly on = (event: TrainingEvent, view: RunView): void => {
    this.view = view;
    const sentence = worthALine(event, view);
    if (sentence !== null) this.log(sentence);
    this.display?.update(view);
  };

  log(text: string): void {
    if (this.display) this.display.log(text);
    else this.stream.write(`${text}\n`);
  }

  summary(outcome: Outcome): TrainingSummary {
    const run = this.run!;
    return {
      run: run.directory.path,
      steps: outcome.version,
      loss: this.view?.lastLoss ?? null,
      validationLoss: this.view?.validationLoss?.loss ?? null,
      unigramLoss: run.dataset.manifest.unigramNats,
      checkpoint: outcome.checkpoint,
    };
  }

  summaryText(outcome: Outcome): string {
    const { steps, validationLoss, checkpoint } = this.summary(outcome);
    const loss =
      validationLoss === null
        ? ''
        : `, validation loss ${validationLoss.toFixed(3)}${baseline(this.view?.run?.unigramLoss)}`;
    return `Trained ${formatCount(steps)} steps${loss}.\nCheckpoint (a Hugging Face model): ${checkpoint}`;
  }

  close(): void {
    this.display?.close();
    this.display = undefined;
  }
}
