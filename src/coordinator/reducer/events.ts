// What a reducer's state machine is told (events), what it decides (actions), and what it is set up with.
import type { AdamWSpec } from '../../engine/native/addon.js';
import type { ChunkGrid, Slice } from '../../protocol/chunks.js';
import type { WireFormat } from '../../protocol/job.js';
import type { Received, ReducerToWorker, WorkerToReducer } from '../../protocol/messages.js';
import type { NodeId } from '../../protocol/node-id.js';
import type { Arithmetic } from './arithmetic.js';
import type { NonFinite } from './inspection.js';
import type { ElementRange } from './undecayed.js';

export interface ReducerOptions {
  readonly grid: ChunkGrid;
  readonly slice: Slice;
  /** Elements of the whole vector that do not decay, ascending. */
  readonly undecayed: readonly ElementRange[];
  readonly term: number;
  /** Micro-batches of a step. */
  readonly microBatches: number;
  readonly wire: WireFormat;
  /** Version of the parameters at the start. */
  readonly version: number;
  /** Whole vectors of float32 (moments: of what is trained), of which only the slice is touched. */
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
  readonly arithmetic: Arithmetic;
}

export type ReducerEvent =
  | { readonly type: 'open'; readonly session: string }
  | { readonly type: 'close'; readonly session: string }
  /** The worker may offer this node: nothing else that it offers is granted. Of an audited node all is received, and hashed. */
  | {
      readonly type: 'lease';
      readonly session: string;
      readonly node: NodeId;
      readonly audited: boolean;
    }
  /** Gradients of this step are summed from now on; an earlier computation is void. `examine`: find what is not finite. */
  | { readonly type: 'begin'; readonly step: number; readonly round: number; readonly examine: boolean }
  /** Update the parameters (null: skip, which publishes the same values as the next version). */
  | { readonly type: 'commit'; readonly step: number; readonly update: AdamWSpec | null }
  | { readonly type: 'message'; readonly session: string; readonly message: Received<WorkerToReducer> };

export type ReducerAction =
  | {
      readonly type: 'send';
      readonly session: string;
      readonly message: ReducerToWorker;
      readonly payload?: Uint8Array;
      readonly crc?: number;
    }
  /** These micro-batches are now contained in the sums of all chunks. */
  | {
      readonly type: 'covered';
      readonly step: number;
      readonly round: number;
      readonly leaves: readonly number[];
    }
  /** All are; with the sum of squares of every block, in order, and what was found if something was looked for. */
  | {
      readonly type: 'root';
      readonly step: number;
      readonly round: number;
      readonly blockSums: Float64Array;
      readonly nonFinite: NonFinite | null;
    }
  /** A worker's whole gradient of an audited node has come; its SHA-256. */
  | { readonly type: 'hashed'; readonly session: string; readonly node: NodeId; readonly hash: string }
  /** A worker broke the protocol: its session has to end. */
  | { readonly type: 'fault'; readonly session: string; readonly reason: string };
