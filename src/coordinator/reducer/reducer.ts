// The reducer's decisions as a state machine: (state, event) -> actions. It owns a slice of the parameters and of
// AdamW's moments, sums the slice's gradient chunk by chunk, applies the committed update, and serves pulls.
// It knows no socket, thread or clock; its arithmetic is the addon's, or any equal to it.
import type { AdamWSpec } from '../../engine/native/addon.js';
import { BLOCK_ELEMENTS } from '../../protocol/chunks.js';
import { bytesPerElement } from '../../protocol/job.js';
import type { Received, ReducerToWorker, WorkerToReducer } from '../../protocol/messages.js';
import { nodeIdOf, type NodeId } from '../../protocol/node-id.js';
import { ReductionTree } from '../../protocol/tree.js';
import { BufferPool } from './buffer-pool.js';
import { ChunkSum } from './chunk-sum.js';
import { contributionOf } from './contribution.js';
import type { ReducerAction, ReducerEvent, ReducerOptions } from './events.js';
import { ContributionHash, firstOf, indexOfNonFinite, type NonFinite } from './inspection.js';
import { Offers, type Offer } from './offers.js';
import { Pulls, type Served } from './pulls.js';
import { SliceUpdate } from './slice-update.js';

const MAX_OFFERS = 4;
/** Partial sums beyond the covered prefix, per chunk, on average. */
const EXTRA_SUMS_PER_CHUNK = 4;

export class Reducer {
  private readonly tree: ReductionTree;
  private readonly pool: BufferPool;
  private readonly pulls: Pulls;
  private readonly offers: Offers;
  private readonly update: SliceUpdate;
  private readonly sessions = new Set<string>();
  /** Chunks of the slice that have gradients: [firstChunk, gradientEnd). */
  private readonly gradientEnd: number;
  private sums: ChunkSum[] = [];
  /** By micro-batch: in how many chunks it is covered. */
  private coveredChunks: Int32Array;
  private step = -1;
  /** Whether to look for what is not finite, and what was found first. */
  private examine = false;
  private nonFinite: NonFinite | null = null;
  private round = 0;
  private actions: ReducerAction[] = [];

  constructor(private readonly options: ReducerOptions) {
    const { grid, slice, microBatches } = options;
    this.pool = new BufferPool(grid.chunkElements);
    this.pulls = new Pulls(options, this.pool);
    this.update = new SliceUpdate(options);
    this.tree = new ReductionTree(microBatches);
    this.coveredChunks = new Int32Array(microBatches);
    this.gradientEnd = Math.max(slice.firstChunk, Math.min(slice.endChunk, grid.gradientChunks));
    const chunks = this.gradientEnd - slice.firstChunk;
    this.offers = new Offers(
      this.tree,
      this.gradientEnd - 1,
      EXTRA_SUMS_PER_CHUNK * chunks,
      grid.windowChunks,
    );
  }

  handle(event: ReducerEvent): ReducerAction[] {
    this.actions = [];
    switch (event.type) {
      case 'open':
        this.sessions.add(event.session);
        break;
      case 'close':
        this.closeSession(event.session);
        break;
      case 'lease':
        this.lease(event.session, event.node, event.audited);
        this.grant();
        break;
      case 'begin':
        this.begin(event.step, event.round, event.examine);
        break;
      case 'commit':
        this.commit(event.step, event.update);
        break;
      case 'message':
        if (this.sessions.has(event.session)) this.receive(event.session, event.message);
        break;
      default:
        event satisfies never;
    }
    return this.actions;
  }

  /** What its buffers for gradients and published parameters occupy. */
  get bufferBytes(): { readonly used: number; readonly free: number } {
    return this.pool.bytes;
  }

  /** For whoever watches it: what is being summed (chunks from the slice's first), and what is offered. */
  get state(): {
    readonly step: number;
    readonly round: number;
    readonly version: number;
    readonly sums: readonly ChunkSum[];
    readonly offers: Offers;
  } {
    const { step, round, sums, offers } = this;
    return { step, round, version: this.pulls.version, sums, offers };
  }

  private closeSession(session: string): void {
    this.sessions.delete(session);
    this.offers.removeSession(session);
    this.pulls.forget(session);
    this.grant();
  }

  private lease(session: string, node: NodeId, audited: boolean): void {
    this.offers.lease(session, node, audited ? new ContributionHash() : undefined);
    if (audited && this.firstChunk === this.gradientEnd) this.tellHash(session, node);
  }

  private begin(step: number, round: number, examine: boolean): void {
    this.clearSums();
    this.examine = examine;
    this.nonFinite = null;
    this.step = step;
    this.round = round;
    const add = (out: Float32Array, left: Float32Array, right: Float32Array): void =>
      this.options.arithmetic.add(out, left, right, out.length, this.options.wire === 'bfloat16');
    this.sums = Array.from(
      { length: this.gradientEnd - this.firstChunk },
      () => new ChunkSum(this.tree, this.pool, add),
    );
    this.coveredChunks.fill(0);
    if (this.sums.length === 0) {
      this.actions.push({ type: 'covered', step, round, leaves: [...this.coveredChunks.keys()] });
      this.reportRoot();
    }
    this.finishStale();
    this.grant();
  }

  private commit(step: number, update: AdamWSpec | null): void {
    if (update) this.update.apply(update, (chunk) => this.sums[chunk - this.firstChunk]!.root!);
    this.clearSums();
    this.finishStale();
    for (const served of this.pulls.update(step + 1)) this.sendParameters(served);
  }

  private receive(session: string, message: Received<WorkerToReducer>): void {
    switch (message.type) {
      case 'attach':
        this.send(session, { type: 'attached', ...this.envelope(session) });
        break;
      case 'offer':
        this.receiveOffer(session, message);
        break;
      case 'chunk':
        this.receiveChunk(session, message);
        break;
      case 'withdraw':
        this.offers.remove(session, message);
        this.sendDone(session, message);
        this.grant();
        break;
      case 'pull':
        this.receivePull(session, message);
        break;
      case 'received':
        this.acknowledge(session, message.received);
        break;
      default:
        message satisfies never;
    }
  }

  private receiveOffer(session: string, node: NodeId): void {
    if (!this.tree.isCanonical(node)) return this.fault(session, 'offered a node that is not of the tree');
    if (this.offers.countOf(session) >= MAX_OFFERS)
      return this.fault(session, 'offered too many nodes at once');
    this.offers.add(session, nodeIdOf(node));
    this.finishStale();
    this.grant();
  }

  private receiveChunk(session: string, message: Received<WorkerToReducer> & { type: 'chunk' }): void {
    const { grid, wire, arithmetic } = this.options;
    const offer = this.offers.get(session, message);
    if (!offer || !this.offers.received(offer, message.chunk))
      return this.fault(session, 'sent a chunk that was not granted');
    const elements = grid.gradientElements(message.chunk);
    const bytes = elements * bytesPerElement(wire);
    if (message.payload.length !== bytes) {
      return this.fault(session, `sent a chunk of ${message.payload.length} bytes, expected ${bytes}`);
    }
    if (message.step === this.step && message.round === this.round && this.sums.length > 0) {
      this.offers.hashOf(session, message)?.add(message.chunk, message.payload);
      const contribution = contributionOf(message.payload, wire, this.pool, arithmetic);
      if (this.examine) this.examineGradient(message, grid.start(message.chunk), contribution.values);
      const fresh = this.sums[message.chunk - this.firstChunk]!.accept(message, contribution);
      this.count(fresh);
    }
    this.finishStale();
    this.grant();
  }

  /** Rounds that are examined have a lease for every micro-batch. */
  private examineGradient(node: NodeId, start: number, values: Float32Array): void {
    const { start: microBatch, end } = this.tree.range(node);
    const index = end - microBatch === 1 ? indexOfNonFinite(values) : -1;
    if (index < 0) return;
    this.nonFinite = firstOf(this.nonFinite, { where: 'gradient', microBatch, element: start + index });
  }

  private count(fresh: readonly number[]): void {
    const complete = fresh.filter((leaf) => ++this.coveredChunks[leaf]! === this.sums.length);
    if (complete.length === 0) return;
    this.actions.push({ type: 'covered', step: this.step, round: this.round, leaves: complete });
    if (this.coveredChunks.every((chunks) => chunks === this.sums.length)) this.reportRoot();
  }

  private reportRoot(): void {
    const blockSums: number[] = [];
    for (const sum of this.sums) {
      const root = sum.root!;
      for (let start = 0; start < root.length; start += BLOCK_ELEMENTS) {
        const block = root.subarray(start, Math.min(start + BLOCK_ELEMENTS, root.length));
        blockSums.push(this.options.arithmetic.sumOfSquares(block, block.length));
      }
    }
    this.actions.push({
      type: 'root',
      step: this.step,
      round: this.round,
      blockSums: Float64Array.from(blockSums),
      nonFinite: this.examine ? this.findNonFinite() : null,
    });
  }

  private findNonFinite(): NonFinite | null {
    const { grid, parameters } = this.options;
    const found = this.sums.map((sum, i): NonFinite | null => {
      const start = grid.start(this.firstChunk + i);
      const root = sum.root!;
      const at = indexOfNonFinite(parameters.subarray(start, start + root.length));
      if (at >= 0) return { where: 'parameters', microBatch: 0, element: start + at };
      const inSum = indexOfNonFinite(root);
      return inSum < 0 ? null : { where: 'sum', microBatch: 0, element: start + inSum };
    });
    return found.reduce(firstOf, this.nonFinite);
  }

  private get firstChunk(): number {
    return this.options.slice.firstChunk;
  }

  private receivePull(session: string, message: WorkerToReducer & { type: 'pull' }): void {
    if (!this.acknowledge(session, message.received)) return;
    const answer = this.pulls.receive({ session, version: message.version, chunk: message.chunk });
    if ('fault' in answer) this.fault(session, answer.fault);
    else for (const served of answer) this.sendParameters(served);
  }

  private acknowledge(session: string, received: number): boolean {
    const possible = this.pulls.acknowledge(session, received);
    if (!possible) this.fault(session, 'acknowledged parameters that were not sent');
    return possible;
  }

  private sendParameters({ session, version, chunk, payload, crc }: Served): void {
    const message = { type: 'parameters', ...this.envelope(session), version, chunk } as const;
    this.actions.push({ type: 'send', session, message, payload, crc });
  }

  private grant(): void {
    if (this.sums.length === 0) return;
    const sums = { firstChunk: this.firstChunk, chunks: this.sums };
    const { granted, finished } = this.offers.grant(this.step, this.round, sums);
    for (const [offer, chunks] of granted) {
      this.send(offer.session, {
        type: 'grant',
        ...this.envelope(offer.session),
        ...nodeIdOf(offer.node),
        chunks,
      });
    }
    this.finish(finished);
  }

  /** Offers of computations that are over end as soon as nothing of them is under way. */
  private finishStale(): void {
    const isOver = this.sums.length === 0;
    this.finish(this.offers.takeStale(this.step, isOver ? this.round + 1 : this.round));
  }

  private finish(offers: readonly Offer[]): void {
    for (const { session, node } of offers) {
      this.tellHash(session, node);
      this.sendDone(session, node);
    }
  }

  private tellHash(session: string, node: NodeId): void {
    const hash = this.offers.hashOf(session, node)?.of(this.firstChunk, this.gradientEnd);
    if (hash !== undefined) this.actions.push({ type: 'hashed', session, node, hash });
  }

  private sendDone(session: string, node: NodeId): void {
    this.send(session, { type: 'done', ...this.envelope(session), ...nodeIdOf(node) });
  }

  private send(session: string, message: ReducerToWorker): void {
    this.actions.push({ type: 'send', session, message });
  }

  private fault(session: string, reason: string): void {
    this.actions.push({ type: 'fault', session, reason });
  }

  private envelope(session: string): { session: string; term: number } {
    return { session, term: this.options.term };
  }

  private clearSums(): void {
    for (const sum of this.sums) sum.clear();
    this.sums = [];
  }
}
