// What happens in a run, as the coordinator and the workers tell it: plain values, published by the core and
// consumed by metrics, metrics.jsonl, the terminal and the live page. Nothing here knows Prometheus.

import type { PhaseSeconds, WorkerPhase } from '../protocol/messages.js';

/** Why a lease ended, as the coordinator sees it. */
export const leaseOutcomes = [
  'covered', // every reducer has the node
  'lost', // its worker's session ended
  'recalled', // another attempt, or an ancestor, covered the node first
  'dropped', // the step or the term moved on
] as const;
export type LeaseOutcome = (typeof leaseOutcomes)[number];

export const workerStates = ['joining', 'idle', 'computing', 'pulling', 'draining'] as const;
export type WorkerState = (typeof workerStates)[number];

export const leaveReasons = ['finished', 'disconnected', 'silent', 'refused', 'failed'] as const;
export type LeaveReason = (typeof leaveReasons)[number];

export const skipReasons = ['no_tokens', 'non_finite'] as const;
export type SkipReason = (typeof skipReasons)[number];

/** Where a step's time goes. Workers publish compute, push, pull and idle; the coordinator reduce and update. */
export const phases = ['compute', 'push', 'reduce', 'update', 'pull', 'idle'] as const;
export type Phase = (typeof phases)[number];

/** Seen from the process that publishes: on a coordinator gradients come in, on a worker they go out. */
export const directions = ['gradients_in', 'gradients_out', 'parameters_in', 'parameters_out'] as const;
export type Direction = (typeof directions)[number];

/** A step was applied. Version = steps completed, so `version` is `step + 1`. */
export interface StepCommitted {
  readonly kind: 'stepCommitted';
  readonly step: number; // 0-based
  readonly version: number;
  /** Mean cross-entropy, in nats per target token that carries loss. */
  readonly loss: number;
  /** Target tokens that carried loss; `correct` of them had the largest logit. */
  readonly tokens: number;
  readonly correct: number;
  readonly sourceTokens: number;
  readonly learningRate: number;
  /** L2 norm of the mean gradient, before clipping. */
  readonly gradientNorm: number;
  readonly clipped: boolean;
  readonly seconds: number;
}

/** A step was passed over: parameters stay, the version advances. */
export interface StepSkipped {
  readonly kind: 'stepSkipped';
  readonly step: number;
  readonly version: number;
  readonly reason: SkipReason;
  readonly seconds: number;
}

export interface Evaluated {
  readonly kind: 'evaluated';
  readonly version: number;
  readonly loss: number; // nats per target token
  readonly accuracy: number; // 0..1
  readonly tokens: number;
  readonly seconds: number;
}

export interface CheckpointWritten {
  readonly kind: 'checkpointWritten';
  /** The version it holds: the N of step-N. */
  readonly step: number;
  readonly seconds: number;
  readonly bytes: number;
}

/** A worker that is here: what it does now, and did so far. */
export interface WorkerStatus {
  readonly session: string;
  readonly name: string;
  readonly host: string;
  readonly state: 'joining' | 'ready';
  /** As its last heartbeat said; null before the first. */
  readonly phase: WorkerPhase | null;
  /** Seconds of its session, by phase. */
  readonly phaseSeconds: PhaseSeconds;
  /** The micro-batches that it was given and has not finished, `end` not included. */
  readonly leases: readonly { readonly start: number; readonly end: number; readonly seconds: number }[];
  /** While it computes, lately; null before its first lease is computed. */
  readonly microBatchesPerSecond: number | null;
  /** Since it was heard of. */
  readonly silentSeconds: number;
}

/** A coordinator begins, or goes on with, a run: what stays the same as long as it lives. */
export interface RunStarted {
  readonly kind: 'runStarted';
  readonly run: string; // its name
  readonly runId: string;
  readonly term: number;
  /** Steps completed before. */
  readonly version: number;
  /** Steps of the whole run, and micro-batches of each. */
  readonly steps: number;
  readonly microBatches: number;
  readonly objective: string;
  readonly parameters: number;
  /** Nats per token of the validation part when only word frequencies are known; null where that is not known. */
  readonly unigramLoss: number | null;
}

export const endings = ['completed', 'stopped', 'failed'] as const;
export type Ending = (typeof endings)[number];

export type TrainingEvent =
  | RunStarted
  /** The coordinator ends; `detail` says why it failed. */
  | { readonly kind: 'runEnded'; readonly reason: Ending; readonly detail: string }
  | StepCommitted
  | StepSkipped
  | Evaluated
  | {
      readonly kind: 'leaseEnded';
      readonly worker: string;
      readonly outcome: LeaseOutcome;
      readonly seconds: number;
    }
  /** A lease that would come late was given to idle workers as well. */
  | { readonly kind: 'leaseDuplicated'; readonly worker: string }
  | { readonly kind: 'workerJoined'; readonly worker: string; readonly host: string }
  /** A worker joins that computes other bits than the run's: `hardware: relaxed` allows it. */
  | { readonly kind: 'foreignWorker'; readonly worker: string; readonly host: string }
  | {
      readonly kind: 'workerLeft';
      readonly worker: string;
      readonly host: string;
      readonly reason: LeaveReason;
      readonly detail: string;
    }
  /** Who is here, about once a second and whenever somebody comes or goes. */
  | { readonly kind: 'workers'; readonly workers: readonly WorkerStatus[] }
  /** How many workers are in each state now; a state that is absent counts 0. */
  | { readonly kind: 'workerStates'; readonly counts: Readonly<Partial<Record<WorkerState, number>>> }
  | { readonly kind: 'phase'; readonly phase: Phase; readonly seconds: number }
  | { readonly kind: 'bytes'; readonly direction: Direction; readonly bytes: number }
  | { readonly kind: 'checkpointStarted'; readonly step: number }
  | CheckpointWritten
  | { readonly kind: 'checkpointFailed'; readonly step: number; readonly reason: string }
  /** An answer to a heartbeat arrived, `seconds` after it was sent. */
  | { readonly kind: 'heartbeat'; readonly seconds: number }
  /** Micro-batches a worker finished, and the target tokens with loss in them. */
  | { readonly kind: 'computed'; readonly microBatches: number; readonly tokens: number }
  /** The parameter version a worker now computes with. */
  | { readonly kind: 'parametersPulled'; readonly version: number };

export type Publish = (event: TrainingEvent) => void;
