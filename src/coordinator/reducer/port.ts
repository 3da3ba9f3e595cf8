// What the coordinator's main thread and a reducer thread say to each other.
import type { TensorFile } from '../../checkpoint/safetensors.js';
import type { ReducerUsage } from '../../metrics/events.js';
import type { ServerSecurity } from '../../transport/keys.js';
import type { SentError } from '../../util/errors.js';
import type { ReducerAction, ReducerEvent, ReducerOptions } from './events.js';

/** Its vectors are shared by all reducers. */
export interface ReducerSetup extends Omit<ReducerOptions, 'grid' | 'arithmetic'> {
  /** Address to listen on; port * for any. */
  readonly bind: string;
  readonly security: ServerSecurity | null;
  /** Elements of the vector, and how many of them are trained. */
  readonly total: number;
  readonly trainable: number;
  readonly heartbeatMs: number;
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
