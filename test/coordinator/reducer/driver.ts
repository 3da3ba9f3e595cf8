// A reducer's state machine with hands: what workers say to it, and what it answers. Chunks have four elements.
import type { ReducerAction, ReducerEvent, ReducerOptions } from '../../../src/coordinator/reducer/events.js';
import { Reducer } from '../../../src/coordinator/reducer/reducer.js';
import { ChunkGrid } from '../../../src/protocol/chunks.js';
import type { ReducerToWorker, WorkerToReducer } from '../../../src/protocol/messages.js';
import type { NodeId } from '../../../src/protocol/node-id.js';
import { arithmetic } from '../../simulation/arithmetic.js';

const CHUNK = 4;

/** Without the envelope that every message carries. */
type Body<M> = M extends { type: string } ? Omit<M, 'session' | 'term'> : never;

export class Driver {
  readonly machine: Reducer;
  readonly options: ReducerOptions;
  readonly grid: ChunkGrid;
  /** What was said to each session, in order. */
  readonly heard: { session: string; message: ReducerToWorker; payload: Float32Array }[] = [];
  readonly others: Exclude<ReducerAction, { type: 'send' }>[] = [];

  constructor(
    geometry: { trainable: number; total: number; firstChunk?: number; endChunk?: number },
    options: Partial<ReducerOptions> = {},
  ) {
    const { trainable, total } = geometry;
    this.grid = new ChunkGrid(trainable, total, CHUNK, 8);
    this.options = {
      grid: this.grid,
      slice: { firstChunk: geometry.firstChunk ?? 0, endChunk: geometry.endChunk ?? this.grid.chunks },
      undecayed: [],
      term: 1,
      microBatches: 4,
      wire: 'float32',
      version: 0,
      parameters: Float32Array.from({ length: total }, (_, i) => i + 1),
      moment1: new Float32Array(trainable),
      moment2: new Float32Array(trainable),
      arithmetic,
      ...options,
    };
    this.machine = new Reducer(this.options);
  }

  do(event: ReducerEvent): void {
    for (const action of this.machine.handle(event)) {
      if (action.type !== 'send') this.others.push(action);
      else {
        const bytes = action.payload;
        // A view, as on the wire: what becomes of the buffer afterwards is seen.
        const payload = bytes
          ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
          : new Float32Array(0);
        this.heard.push({ session: action.session, message: action.message, payload });
      }
    }
  }

  open(...sessions: readonly string[]): void {
    for (const session of sessions) this.do({ type: 'open', session });
  }

  say(session: string, body: Body<WorkerToReducer>, payload: Uint8Array = new Uint8Array(0)): void {
    const message = { ...body, session, term: 1, payload };
    this.do({ type: 'message', session, message });
  }

  offer(session: string, node: NodeId): void {
    this.do({ type: 'lease', session, node, audited: false });
    this.say(session, { type: 'offer', ...node });
  }

  chunk(session: string, node: NodeId, chunk: number, values?: Float32Array): void {
    const gradient = values ?? new Float32Array(this.grid.gradientElements(chunk)).fill(1);
    this.say(session, { type: 'chunk', ...node, chunk }, new Uint8Array(gradient.slice().buffer));
  }

  /** Offers a node and sends whatever is granted until it is done. */
  push(session: string, node: NodeId, value = 1): void {
    this.offer(session, node);
    for (let sent = 0; sent < this.granted(session, node).length; sent++) {
      const chunk = this.granted(session, node)[sent]!;
      this.chunk(session, node, chunk, new Float32Array(this.grid.gradientElements(chunk)).fill(value));
    }
  }

  messages<T extends ReducerToWorker['type']>(type: T, session?: string): (ReducerToWorker & { type: T })[] {
    return this.heard
      .filter((heard) => session === undefined || heard.session === session)
      .map(({ message }) => message)
      .filter((message): message is ReducerToWorker & { type: T } => message.type === type);
  }

  /** Chunks of a node granted so far, in order. */
  granted(session: string, node: NodeId): number[] {
    return this.messages('grant', session)
      .filter((grant) => grant.level === node.level && grant.index === node.index && grant.step === node.step)
      .filter(({ round }) => round === node.round)
      .flatMap(({ chunks }) => chunks);
  }

  isDone(session: string, node: NodeId): boolean {
    return this.messages('done', session).some(
      (done) =>
        done.step === node.step &&
        done.round === node.round &&
        done.level === node.level &&
        done.index === node.index,
    );
  }

  every<T extends ReducerAction['type']>(type: T): (ReducerAction & { type: T })[] {
    return this.others.filter((action) => action.type === type) as unknown as (ReducerAction & { type: T })[];
  }

  get faults(): string[] {
    return this.every('fault').map(({ session, reason }) => `${session} ${reason}`);
  }
}

export function node(level: number, index: number, step = 0, round = 0): NodeId {
  return { step, round, level, index };
}
