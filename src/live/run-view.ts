// A run as it stands, folded from what happened in it: what the terminal, the live page, /api/run and `lockstep status`
// show. Pure, bounded in size, and plain JSON; the page folds the same events in the browser with this very module.
import type { Ending, Prediction, RunStarted, TrainingEvent, WorkerStatus } from '../metrics/events.js';
import { describe, type Description } from './describe.js';
import { append, emptySeries, type Series } from './series.js';

/** `time`: seconds since 1970. */
export type TimedEvent = TrainingEvent & { readonly time: number };

export type RunEvent = Description & { readonly time: number; readonly kind: TrainingEvent['kind'] };

/** Parts of a worker's time, together 1. */
export type PhaseShares = WorkerStatus['phaseSeconds'];

export interface WorkerView extends Omit<WorkerStatus, 'silentSeconds'> {
  /** Of late; null until two heartbeats can be compared. */
  readonly shares: PhaseShares | null;
  readonly lastHeard: number; // seconds since 1970
}

export interface RunView {
  /** Of the last event, seconds since 1970; 0 before the first. */
  readonly time: number;
  /** null when no coordinator has said what it trains. */
  readonly run: (Omit<RunStarted, 'kind'> & { readonly startedAt: number }) | null;
  /** It ends after the step at hand. */
  readonly stopping: boolean;
  readonly ended: { readonly reason: Ending; readonly detail: string; readonly time: number } | null;
  /** Steps completed. */
  readonly version: number;
  readonly loss: Series;
  readonly validation: Series;
  /** Source and target tokens per second of each step. */
  readonly throughput: Series;
  /** Of the newest step; tokens per second of the last few. */
  readonly lastLoss: number | null;
  readonly learningRate: number | null;
  readonly gradientNorm: number | null;
  readonly tokensPerSecond: number | null;
  readonly validationLoss: { readonly step: number; readonly loss: number; readonly accuracy: number } | null;
  readonly workers: readonly WorkerView[];
  /** Of this coordinator's steps: seconds from one to the next, evaluations included, averaged with newer ones first. */
  readonly pace: { readonly steps: number; readonly at: number; readonly secondsPerStep: number } | null;
  /** Until its last step; null when that is not known, or when it stops before. */
  readonly etaSeconds: number | null;
  readonly checkpoint: {
    readonly step: number;
    readonly directory: string;
    readonly bytes: number;
    readonly seconds: number;
    readonly time: number;
  } | null;
  /** Of the newest checkpoint that was asked. */
  readonly predicted: { readonly step: number; readonly predictions: readonly Prediction[] } | null;
  /** The last ones, oldest first. */
  readonly events: readonly RunEvent[];
}

export const emptyView: RunView = {
  time: 0,
  run: null,
  stopping: false,
  ended: null,
  version: 0,
  loss: emptySeries,
  validation: emptySeries,
  throughput: emptySeries,
  lastLoss: null,
  learningRate: null,
  gradientNorm: null,
  tokensPerSecond: null,
  validationLoss: null,
  workers: [],
  pace: null,
  etaSeconds: null,
  checkpoint: null,
  predicted: null,
  events: [],
};

/** What the view is folded from; everything else changes nothing in it. */
export const viewedKinds = [
  'runStarted',
  'stopping',
  'runEnded',
  'stepCommitted',
  'stepSkipped',
  'evaluated',
  'checkpointWritten',
  'checkpointFailed',
  'predicted',
  'workerJoined',
  'workerLeft',
  'foreignWorker',
  'workers',
] as const satisfies readonly TrainingEvent['kind'][];

const MOST_EVENTS = 100;
/** Weights of the newest of values that are averaged, once there are some. */
const PACE_SMOOTHING = 0.02;
const THROUGHPUT_SMOOTHING = 0.1;
const SHARES_SMOOTHING = 0.3;

export function fold(view: RunView, event: TimedEvent): RunView {
  const description = describe(event);
  const { time, kind } = event;
  return {
    ...view,
    time,
    ...changes(view, event),
    ...(description && { events: [...view.events, { ...description, time, kind }].slice(-MOST_EVENTS) }),
  };
}

function changes(view: RunView, event: TimedEvent): Partial<RunView> {
  switch (event.kind) {
    case 'runStarted': {
      const { kind: _, time, ...run } = event;
      const fresh = { stopping: false, ended: null, workers: [], pace: null, etaSeconds: null };
      return { ...fresh, tokensPerSecond: null, run: { ...run, startedAt: time }, version: event.version };
    }
    case 'stopping':
      return { stopping: true, etaSeconds: null };
    case 'runEnded': {
      const { reason, detail, time } = event;
      return { stopping: false, ended: { reason, detail, time }, workers: [], etaSeconds: null };
    }
    case 'stepCommitted': {
      const { version, learningRate, gradientNorm, loss } = event;
      const tokens = (event.tokens + event.sourceTokens) / Math.max(event.seconds, 1e-9);
      return {
        ...completed(view, event),
        loss: append(view.loss, version, loss),
        throughput: append(view.throughput, version, tokens),
        lastLoss: loss,
        learningRate,
        gradientNorm,
        tokensPerSecond: smoothed(view.tokensPerSecond, tokens, THROUGHPUT_SMOOTHING),
      };
    }
    case 'stepSkipped':
      return completed(view, event);
    case 'evaluated': {
      const { version: step, loss, accuracy } = event;
      return { validation: append(view.validation, step, loss), validationLoss: { step, loss, accuracy } };
    }
    case 'checkpointWritten': {
      const { step, directory, bytes, seconds, time } = event;
      return { checkpoint: { step, directory, bytes, seconds, time } };
    }
    case 'predicted':
      return { predicted: { step: event.version, predictions: event.predictions } };
    case 'workers':
      return { workers: event.workers.map((worker) => workerView(view, worker, event.time)) };
    default:
      return {};
  }
}

/** A step is done: how far the run is, and when it will be at its end. */
function completed(view: RunView, { version, time }: { version: number; time: number }): Partial<RunView> {
  const { pace, run, stopping } = view;
  const steps = (pace?.steps ?? -1) + 1;
  const weight = Math.max(1 / Math.max(1, steps), PACE_SMOOTHING);
  const secondsPerStep = pace ? smoothed(steps > 1 ? pace.secondsPerStep : null, time - pace.at, weight) : 0;
  const left = run && steps > 0 && !stopping ? (run.steps - version) * secondsPerStep : null;
  return { version, pace: { steps, at: time, secondsPerStep }, etaSeconds: left };
}

function smoothed(before: number | null, value: number, weight: number): number {
  return before === null ? value : before + weight * (value - before);
}

function workerView(view: RunView, { silentSeconds, ...status }: WorkerStatus, time: number): WorkerView {
  const before = view.workers.find(({ session }) => session === status.session);
  const shares = sharesOf(before, status.phaseSeconds);
  return { ...status, shares, lastHeard: time - silentSeconds };
}

function sharesOf(before: WorkerView | undefined, seconds: PhaseShares): PhaseShares | null {
  if (!before) return null;
  const phases = ['compute', 'push', 'pull', 'idle'] as const;
  const spent = phases.map((phase) => seconds[phase] - before.phaseSeconds[phase]);
  const total = spent.reduce((sum, part) => sum + part, 0);
  if (total <= 0) return before.shares;
  const [compute, push, pull, idle] = phases.map((phase, i) =>
    smoothed(before.shares?.[phase] ?? null, spent[i]! / total, SHARES_SMOOTHING),
  );
  return { compute: compute!, push: push!, pull: pull!, idle: idle! };
}
