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

/** Greeted, but not attached to the reducers yet; or given work. */
export const workerStates = ['joining', 'ready'] as const;
export type WorkerState = (typeof workerStates)[number];

export const leaveReasons = ['finished', 'disconnected', 'silent', 'refused', 'failed', 'expelled'] as const;
export type LeaveReason = (typeof leaveReasons)[number];

/** What became of a node that was to be computed by two workers. */
export const auditOutcomes = [
  'equal',
  'different', // a third worker told who was wrong
  'undecided', // there was no third worker
  'abandoned', // there was no second one
] as const;
export type AuditOutcome = (typeof auditOutcomes)[number];

export const skipReasons = ['no_tokens', 'non_finite'] as const;
export type SkipReason = (typeof skipReasons)[number];

/** What became of the results of a micro-batch that a worker sent in. */
export const resultOutcomes = [
  'first', // nobody had sent them before
  'duplicate', // somebody had
  'late', // the step or the round was over
] as const;
export type ResultOutcome = (typeof resultOutcomes)[number];

/** Why a message was not taken. */
export const messageFaults = [
  'checksum', // damaged on the way
  'malformed', // not what the protocol allows
  'stale', // of a session that is over, or of another term
] as const;
export type MessageFault = (typeof messageFaults)[number];

/** Tensors on the wire, seen from a worker. */
export const directions = ['gradients_out', 'parameters_in'] as const;
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
  /** Where it lies: a path, or s3://…. */
  readonly directory: string;
  readonly seconds: number;
  readonly bytes: number;
}

/** What the model of a checkpoint answered about a held-out sample, and what training would have it answer. */
export interface Prediction {
  readonly source: string;
  readonly prediction: string;
  readonly target: string;
}

/** A worker that is here: what it does now, and did so far. */
export interface WorkerStatus {
  readonly session: string;
  readonly name: string;
  readonly host: string;
  readonly state: 'joining' | 'ready';
  /** As its last heartbeat said; null before the first. */
  readonly phase: WorkerPhase | null;
  /** Of its session, as its last heartbeat said: seconds by phase, what it computed and moved; and its memory now. */
  readonly phaseSeconds: PhaseSeconds;
  readonly microBatches: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly residentBytes: number;
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
  /** Steps beyond that version that an earlier coordinator had done: they are done again. */
  readonly stepsLost: number;
  /** Steps of the whole run, and micro-batches of each. */
  readonly steps: number;
  readonly microBatches: number;
  /** Steps between two checkpoints, and between two evaluations. */
  readonly checkpointEvery: number;
  readonly evaluateEvery: number;
  readonly clipNorm: number | null;
  readonly reducers: number;
  readonly objective: string;
  readonly precision: string;
  readonly wire: string;
  /** The first digits of the config's SHA-256: tells whether two coordinators trained with the same one. */
  readonly configHash: string;
  readonly parameters: number;
  /** Nats per token of the validation part when only word frequencies are known; null where that is not known. */
  readonly unigramLoss: number | null;
}

/** What a reducer did since its last report, and what its buffers occupy now. */
export interface ReducerUsage {
  readonly gradientBytes: number;
  readonly parameterBytes: number;
  readonly reduceSeconds: number;
  readonly updateSeconds: number;
  readonly rejected: Readonly<Record<MessageFault, number>>;
  readonly usedBufferBytes: number;
  readonly freeBufferBytes: number;
}

export const endings = ['completed', 'stopped', 'failed'] as const;
export type Ending = (typeof endings)[number];

export type TrainingEvent =
  | RunStarted
  /** The coordinator was asked to end after the step at hand. */
  | { readonly kind: 'stopping' }
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
  | { readonly kind: 'nodeAudited'; readonly outcome: AuditOutcome }
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
  /** Results of micro-batches came from a worker; an outcome that is absent counts 0. */
  | { readonly kind: 'results'; readonly counts: Readonly<Partial<Record<ResultOutcome, number>>> }
  | { readonly kind: 'messageRejected'; readonly fault: MessageFault }
  | { readonly kind: 'reducerUsage'; readonly reducer: number; readonly usage: ReducerUsage }
  /** How many workers are in each state now; a state that is absent counts 0. */
  | { readonly kind: 'workerStates'; readonly counts: Readonly<Partial<Record<WorkerState, number>>> }
  | { readonly kind: 'phase'; readonly phase: WorkerPhase; readonly seconds: number }
  | { readonly kind: 'bytes'; readonly direction: Direction; readonly bytes: number }
  | { readonly kind: 'checkpointStarted'; readonly step: number }
  | CheckpointWritten
  | { readonly kind: 'checkpointFailed'; readonly step: number; readonly reason: string }
  /** All steps are done, and the model of the last checkpoint is asked, for at most so long. */
  | { readonly kind: 'lastPredictionsAwaited'; readonly mostSeconds: number }
  /** Always of the same samples. */
  | { readonly kind: 'predicted'; readonly version: number; readonly predictions: readonly Prediction[] }
  /** An answer to a heartbeat arrived, `seconds` after it was sent. */
  | { readonly kind: 'heartbeat'; readonly seconds: number }
  /** Micro-batches a worker finished, and the target tokens with loss in them. */
  | { readonly kind: 'computed'; readonly microBatches: number; readonly tokens: number }
  /** The parameter version a worker now computes with. */
  | { readonly kind: 'parametersPulled'; readonly version: number };

export type Publish = (event: TrainingEvent) => void;
