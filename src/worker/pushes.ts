// The gradients on their way to the reducers, one per gradient buffer. A chunk is sent when it is final and
// granted; a buffer is free again when every reducer has said that nothing more of it is wanted and all that was
// sent has arrived, since until then the sockets may still read it.
import { sameNodeId, type NodeId } from '../protocol/node-id.js';
import type { WorkerAction } from './events.js';

interface Push {
  readonly node: NodeId;
  readonly ready: Set<number>;
  readonly granted: Map<number, number>; // chunk -> reducer
  readonly done: Set<number>; // reducers
  offered: boolean;
  withdrawn: boolean;
  computing: boolean;
}

export class Pushes {
  private readonly buffers: (Push | undefined)[];

  constructor(
    private readonly reducers: number,
    buffers: number,
    private readonly act: (action: WorkerAction) => void,
  ) {
    this.buffers = Array.from({ length: buffers });
  }

  /** Buffers in use. */
  get count(): number {
    return this.buffers.filter(Boolean).length;
  }

  /**
   * A free buffer for a node that is about to be computed; undefined when there is none, or when an earlier,
   * withdrawn gradient of the same node still waits for its answers, which could not be told apart.
   */
  begin(node: NodeId): number | undefined {
    const buffer = this.buffers.indexOf(undefined);
    if (buffer < 0 || this.find(node) >= 0) return undefined;
    this.buffers[buffer] = {
      node,
      ready: new Set(),
      granted: new Map(),
      done: new Set(),
      offered: false,
      withdrawn: false,
      computing: true,
    };
    return buffer;
  }

  /** A chunk is final; the first one makes the offer. */
  ready(buffer: number, chunk: number): void {
    const push = this.buffers[buffer];
    if (!push || push.withdrawn) return;
    if (!push.offered) {
      push.offered = true;
      for (let reducer = 0; reducer < this.reducers; reducer++)
        this.act({ type: 'offer', reducer, node: push.node });
    }
    const reducer = push.granted.get(chunk);
    if (reducer === undefined) push.ready.add(chunk);
    else this.act({ type: 'sendChunk', reducer, node: push.node, chunk, buffer });
  }

  grant(reducer: number, node: NodeId, chunks: readonly number[]): void {
    const buffer = this.find(node);
    const push = this.buffers[buffer];
    if (!push || push.withdrawn) return;
    for (const chunk of chunks) {
      if (push.ready.delete(chunk)) this.act({ type: 'sendChunk', reducer, node: push.node, chunk, buffer });
      else push.granted.set(chunk, reducer);
    }
  }

  done(reducer: number, node: NodeId): void {
    const buffer = this.find(node);
    this.buffers[buffer]?.done.add(reducer);
    this.tryFree(buffer);
  }

  /** Nothing more will become ready. */
  computed(buffer: number): void {
    const push = this.buffers[buffer];
    if (push) push.computing = false;
    this.tryFree(buffer);
  }

  withdrawWhere(matches: (node: NodeId) => boolean): void {
    this.buffers.forEach((push, buffer) => {
      if (push && matches(push.node)) this.withdrawBuffer(buffer);
    });
  }

  withdrawBuffer(buffer: number): void {
    const push = this.buffers[buffer];
    if (!push || push.withdrawn) return;
    push.withdrawn = true;
    for (let reducer = 0; reducer < this.reducers && push.offered; reducer++) {
      if (!push.done.has(reducer)) this.act({ type: 'withdraw', reducer, node: push.node });
    }
    this.tryFree(buffer);
  }

  private find(node: NodeId): number {
    return this.buffers.findIndex((push) => push && sameNodeId(push.node, node));
  }

  private tryFree(buffer: number): void {
    const push = this.buffers[buffer];
    if (!push || push.computing) return;
    if (push.offered ? push.done.size === this.reducers : push.withdrawn) this.buffers[buffer] = undefined;
  }
}
