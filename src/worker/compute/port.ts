// What a worker's I/O thread and its compute thread say to each other. Vectors are shared memory; only batches
// and small messages are posted.
import type { EngineFingerprint } from '../../engine/engine.js';
import type { Batch } from '../../model/batch.js';
import type { Job } from '../../protocol/job.js';
import type { BatchStats } from '../../protocol/stats.js';
import type { TreeNode } from '../../protocol/tree.js';
import type { Fault } from './fault.js';

/** What a compute thread says first: its engine is loaded. */
export const LOADED = 'loaded';

export interface ComputeSetup {
  readonly job: Job;
  readonly fault: Fault | null;
  /** Shared: parameters [total], gradients [trainable]. */
  readonly parameters: readonly Float32Array[];
  readonly gradients: readonly Float32Array[];
  /** Int32: [0] the id of a task that shall be cancelled, [1] micro-batches finished so far. */
  readonly control: SharedArrayBuffer;
}

export const Control = { cancelledId: 0, progress: 1, length: 2 } as const;

export type ToCompute =
  /** The first message. */
  | { readonly type: 'setup'; readonly setup: ComputeSetup }
  | {
      readonly type: 'node';
      readonly id: number;
      readonly step: number;
      readonly node: TreeNode;
      readonly batches: readonly Batch[];
      readonly slot: number;
      readonly buffer: number;
    }
  | {
      readonly type: 'evaluation';
      readonly id: number;
      readonly version: number;
      readonly batch: Batch;
      readonly slot: number;
    };

export type FromCompute =
  | { readonly type: 'ready'; readonly fingerprint: EngineFingerprint; readonly probe: string }
  | { readonly type: 'chunk'; readonly id: number; readonly chunk: number }
  | {
      readonly type: 'computed';
      readonly id: number;
      readonly stats: readonly BatchStats[];
      readonly seconds: number;
    }
  | { readonly type: 'cancelled'; readonly id: number };
