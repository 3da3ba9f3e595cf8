// What the coordinator's main thread and a reducer thread say to each other.
import type { TensorFile } from '../../checkpoint/safetensors.js';
import type { ReducerUsage } from '../../metrics/events.js';
import type { Slice } from '../../protocol/chunks.js';
import type { WireFormat } from '../../protocol/job.js';
import type { ServerSecurity } from '../../transport/keys.js';
import type { SentError } from '../../util/errors.js';
import type { ReducerAction, ReducerEvent } from './events.js';
import type { ElementRange } from './undecayed.js';

export interface ReducerSetup {
  /** Address to listen on; port * for any. */
  readonly bind: string;
  readonly security: ServerSecurity | null;
  readonly term: number;
  readonly trainable: number;
  readonly total: number;
  readonly slice: Slice;
  /** Elements of the whole vector that do not decay, ascending. */
  readonly undecayed: readonly ElementRange[];
  readonly microBatches: number;
  readonly wire: WireFormat;
  readonly version: number;
  readonly heartbeatMs: number;
  /** Float32 vectors of all elements (moments: of the trainable ones), shared by all reducers. */
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

/** Where a snapshot goes: byte offsets of element 0 of each vector in its file. */
export interface SnapshotFiles {
  readonly model: TensorFile;
  readonly optimizer: {
    readonly path: string;
    readonly moment1Offset: number;
    readonly moment2Offset: number;
  };
}

export type ToReducer =
  | Exclude<ReducerEvent, { type: 'message' }>
  /** Keep a copy of the slice as it is now. */
  | { readonly type: 'snapshot'; readonly version: number }
  /** Write that copy; null: drop it. */
  | { readonly type: 'write'; readonly version: number; readonly files: SnapshotFiles | null }
  | { readonly type: 'stop' };

export type FromReducer =
  | { readonly type: 'listening'; readonly url: string }
  | Exclude<ReducerAction, { type: 'send' }>
  /** A worker's connection is gone. */
  | { readonly type: 'lost'; readonly session: string }
  | { readonly type: 'written'; readonly version: number; readonly failure: string | null }
  | { readonly type: 'usage'; readonly usage: ReducerUsage };

/** The thread has failed: it says why and ends by itself. */
export interface ReducerFailed extends SentError {
  readonly type: 'failed';
}
