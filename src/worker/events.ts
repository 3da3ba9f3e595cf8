// What the worker's state machine is told (events), what it decides (actions), and the tasks both speak of.
import type { NodeId } from '../protocol/node-id.js';
import type { BatchStats } from '../protocol/stats.js';

/** What a lease asks for: a node's gradient, or the loss of an evaluation micro-batch. */
export type Task =
  | { readonly kind: 'node'; readonly id: number; readonly version: number; readonly node: NodeId }
  | { readonly kind: 'evaluation'; readonly id: number; readonly version: number; readonly index: number };

export type WorkerEvent =
  | { readonly type: 'lease'; readonly task: Task }
  /** Its batches are built. */
  | { readonly type: 'prepared'; readonly id: number }
  | { readonly type: 'recall'; readonly node: NodeId }
  | {
      readonly type: 'parameters';
      readonly reducer: number;
      readonly version: number;
      readonly chunk: number;
    }
  | {
      readonly type: 'grant';
      readonly reducer: number;
      readonly node: NodeId;
      readonly chunks: readonly number[];
    }
  | { readonly type: 'done'; readonly reducer: number; readonly node: NodeId }
  /** A chunk of the gradient that is being computed is final. */
  | { readonly type: 'chunkReady'; readonly id: number; readonly chunk: number }
  | {
      readonly type: 'computed';
      readonly id: number;
      readonly stats: readonly BatchStats[];
      readonly seconds: number;
    }
  | { readonly type: 'cancelled'; readonly id: number };

export type WorkerAction =
  | {
      readonly type: 'pull';
      readonly reducer: number;
      readonly version: number;
      readonly chunk: number;
      readonly received: number;
    }
  | { readonly type: 'received'; readonly reducer: number; readonly received: number }
  /** The parameter chunk that has just arrived belongs into this buffer. */
  | { readonly type: 'store'; readonly slot: number; readonly chunk: number }
  | { readonly type: 'pulled'; readonly version: number }
  /** Compute with the parameters of `slot`; a node's gradient goes to `buffer`. */
  | { readonly type: 'compute'; readonly task: Task; readonly slot: number; readonly buffer: number }
  | { readonly type: 'cancel'; readonly id: number }
  /** The task's batches are not needed. */
  | { readonly type: 'drop'; readonly id: number }
  | { readonly type: 'offer' | 'withdraw'; readonly reducer: number; readonly node: NodeId }
  | {
      readonly type: 'sendChunk';
      readonly reducer: number;
      readonly node: NodeId;
      readonly chunk: number;
      readonly buffer: number;
    }
  | {
      readonly type: 'tell';
      readonly task: Task;
      readonly stats: readonly BatchStats[];
      readonly seconds: number;
    };

/** Gradient buffers: one computed and on its way, one being computed. Parameter buffers: one in use, one being pulled. */
export const GRADIENT_BUFFERS = 2;
export const PARAMETER_BUFFERS = 2;
