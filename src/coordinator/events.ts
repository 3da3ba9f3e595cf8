// What the coordinator's state machine is told (events), what it decides (actions), and what it is set up with.
import type { AdamWSpec } from '../engine/native/addon.js';
import type { LeaveReason, TrainingEvent } from '../metrics/events.js';
import type { OptimizerConfig } from '../optim/config.js';
import type { SessionOutcome, WorkerReport } from '../protocol/messages.js';
import type { NodeId } from '../protocol/node-id.js';
import type { BatchStats } from '../protocol/stats.js';
import type { NonFinite } from './reducer/inspection.js';
import type { WorkerIdentity } from './sessions.js';

/** What decides a run's course; `config/schema.ts` says what each key means. */
export interface CoordinatorOptions {
  readonly steps: number;
  readonly microBatches: number;
  readonly reducers: number;
  readonly optimizer: OptimizerConfig;
  readonly evaluate: { readonly every: number; readonly batches: number };
  readonly checkpointEvery: number;
  /** Share of nodes that two workers compute, what decides which (no worker knows it), and what becomes of a faulty one. */
  readonly audit: { readonly share: number; readonly key: string; readonly action: 'expel' | 'stop' };
  /** Steps in a row that may be skipped because their gradient is not finite, before the run is stopped. */
  readonly maxSkips: number;
  /** The name of the parameter that an element of the vector belongs to. */
  readonly nameOfParameter: (element: number) => string;
  readonly hardware: 'strict' | 'relaxed';
  readonly heartbeat: { readonly intervalMs: number; readonly timeoutMs: number };
}

/** Where a run stands between two steps: what a checkpoint keeps beside the tensors. */
export interface Progress {
  /** Steps completed, skipped ones included. */
  readonly version: number;
  /** AdamW's t: updates applied. */
  readonly updates: number;
  /** Target tokens that carried loss so far. */
  readonly tokens: number;
  readonly best: { readonly step: number; readonly loss: number } | null;
  /** What the workers compute with; null before the first of them. */
  readonly fingerprint: string | null;
  /** Workers that computed wrongly: "NAME on HOST", or the public key where workers have one. */
  readonly expelled: readonly string[];
}

export type CoordinatorEvent =
  | ({ readonly type: 'hello'; readonly session: string } & WorkerIdentity)
  | { readonly type: 'ready'; readonly session: string; readonly fingerprint: string }
  | {
      readonly type: 'heartbeat';
      readonly session: string;
      readonly sequence: number;
      readonly report: WorkerReport;
    }
  | {
      readonly type: 'computed';
      readonly session: string;
      readonly node: NodeId;
      readonly stats: readonly BatchStats[];
      /** Time that its worker computed. */
      readonly seconds: number;
    }
  | {
      readonly type: 'evaluated';
      readonly session: string;
      readonly version: number;
      readonly index: number;
      readonly stats: BatchStats;
    }
  /** The session is over, whoever noticed. */
  | { readonly type: 'gone'; readonly session: string; readonly reason: LeaveReason; readonly detail: string }
  | {
      readonly type: 'covered';
      readonly step: number;
      readonly round: number;
      readonly leaves: readonly number[];
    }
  | {
      readonly type: 'root';
      readonly reducer: number;
      readonly step: number;
      readonly round: number;
      readonly blockSums: Float64Array;
      readonly nonFinite: NonFinite | null;
    }
  /** A reducer has received all of a worker's gradient of an audited node. */
  | {
      readonly type: 'hashed';
      readonly reducer: number;
      readonly session: string;
      readonly node: NodeId;
      readonly hash: string;
    }
  | { readonly type: 'sliceWritten'; readonly version: number }
  | { readonly type: 'checkpointEnded'; readonly version: number; readonly saved: boolean }
  /** Finish the step, save, end. */
  | { readonly type: 'stop' }
  | { readonly type: 'tick' };

export type CoordinatorAction =
  | { readonly type: 'welcome'; readonly session: string }
  | { readonly type: 'lease'; readonly session: string; readonly node: NodeId; readonly audited: boolean }
  | { readonly type: 'evaluate'; readonly session: string; readonly version: number; readonly index: number }
  | { readonly type: 'recall'; readonly session: string; readonly node: NodeId }
  | {
      readonly type: 'heartbeat';
      readonly session: string;
      readonly sequence: number;
      readonly echo: number;
    }
  /** End the session everywhere. */
  | {
      readonly type: 'dismiss';
      readonly session: string;
      readonly reason: string;
      readonly outcome: SessionOutcome;
    }
  | { readonly type: 'begin'; readonly step: number; readonly round: number; readonly examine: boolean }
  | { readonly type: 'commit'; readonly step: number; readonly update: AdamWSpec | null }
  /** Copy the parameters and moments of this version (it is the reducers' current one) and write them. */
  | { readonly type: 'snapshot'; readonly progress: Progress }
  /** All slices are written and the evaluation of that version, if one was due, is known. */
  | { readonly type: 'publish'; readonly progress: Progress; readonly validationLoss: number | null }
  | { readonly type: 'event'; readonly event: TrainingEvent }
  | { readonly type: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }
  /** The run cannot go on; the newest checkpoint stays. */
  | { readonly type: 'fail'; readonly code: string; readonly message: string }
  | { readonly type: 'finish'; readonly reason: 'completed' | 'stopped'; readonly saved: boolean };
