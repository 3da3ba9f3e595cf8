// What happens in a run, as the coordinator and the workers tell it: plain values, published by the core and
// consumed by metrics, metrics.jsonl and the progress display. Nothing here knows Prometheus.

/** Why a lease ended, as the coordinator sees it. */
export const leaseOutcomes = [
  'covered', // every reducer has the node
  'lost', // its worker's session ended
  'expired', // past its deadline; duplicated on another worker
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

export type TrainingEvent =
  | StepCommitted
  | StepSkipped
  | Evaluated
  | { readonly kind: 'leaseEnded'; readonly outcome: LeaseOutcome; readonly seconds: number }
  | { readonly kind: 'workerJoined' }
  /** A worker joins that computes other bits than the run's: `hardware: relaxed` allows it. */
  | { readonly kind: 'foreignWorker' }
  | { readonly kind: 'workerLeft'; readonly reason: LeaveReason }
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
