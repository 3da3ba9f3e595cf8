// One computation of a step: who is leased which node, what has come of it, and whether all of it is there. A lease
// ends when its node is covered, its worker is lost, or another was faster.
import type { LeaseOutcome } from '../metrics/events.js';
import type { NodeId } from '../protocol/messages.js';
import type { BatchStats } from '../protocol/stats.js';
import type { ReductionTree, TreeNode } from '../protocol/tree.js';
import type { Decisions } from './decisions.js';
import { LeaseBook, type Lease } from './lease-book.js';
import type { Session, Sessions } from './sessions.js';
import { straggler } from './stragglers.js';

/** With nothing covered for this long while work waits and every worker is full, the last lease is recalled. */
const STALL_MS = 2_000;
/** Leases of one worker: one computed and on its way, one computing (or one computing, one ahead). */
export const MAX_LEASES = 2;

export interface RoundSetup {
  readonly tree: ReductionTree;
  readonly reducers: number;
  readonly sessions: Sessions;
  readonly decisions: Decisions;
}

export class Round {
  private readonly book: LeaseBook;
  /** By reducer: sums of squares of its blocks. */
  readonly roots = new Map<number, Float64Array>();
  private lastCoverageAt: number;

  constructor(
    private readonly step: number,
    /** 0, or one more for each time that the step is computed again. */
    readonly number: number,
    private readonly setup: RoundSetup,
  ) {
    this.book = new LeaseBook(setup.tree, setup.reducers);
    this.lastCoverageAt = setup.decisions.now;
    setup.decisions.add({ type: 'begin', step, round: number });
  }

  includes({ step, round }: { readonly step: number; readonly round: number }): boolean {
    return step === this.step && round === this.number;
  }

  /** All reducers have the whole sum, and every micro-batch's loss is known. */
  get done(): boolean {
    return this.book.done && this.roots.size === this.setup.reducers;
  }

  /** In the micro-batches' order; of a round that is done. */
  get stats(): readonly BatchStats[] {
    return this.book.stats as BatchStats[];
  }

  /** What is leased now, in no particular order. */
  get leases(): Iterable<Lease> {
    return this.book.leased;
  }

  // ---- what happens

  /** Notes a node's losses; false when the numbers are not the node's. */
  computed(session: string, node: TreeNode, stats: readonly BatchStats[], seconds: number): boolean {
    const { book } = this;
    const { decisions } = this.setup;
    const { uncomputed } = book;
    if (!book.computed(session, node, stats, seconds, decisions.now)) return false;
    const first = uncomputed - book.uncomputed;
    decisions.publish({ kind: 'results', counts: { first, duplicate: stats.length - first } });
    return true;
  }

  covered(leaves: readonly number[]): void {
    this.lastCoverageAt = this.setup.decisions.now;
    this.book.covered(leaves);
  }

  /** The session ended: what it held waits again. */
  release(session: string): void {
    for (const lease of this.book.release(session, this.setup.decisions.now)) this.publishEnd(lease, 'lost');
  }

  // ---- what is decided

  /** Ends the leases of which nothing is wanted any more; who had not computed them was slower than others. */
  settle(): void {
    const { sessions, decisions } = this.setup;
    for (const lease of this.book.settle(decisions.now)) {
      const elapsedMs = decisions.now - (lease.startedAt ?? decisions.now);
      this.publishEnd(lease, lease.computed ? 'covered' : 'recalled');
      if (lease.computed) sessions.covered(lease.session, Math.max(0, elapsedMs - lease.computeMs));
      else {
        sessions.lost(lease.session, this.book.sizeOf(lease), elapsedMs / 1000);
        this.recall(lease);
      }
    }
  }

  /** Gives every worker what it can take; near the end of the step, what others have but are late with. */
  leaseOut(): void {
    const workers = this.setup.sessions.ready();
    this.leaseWaiting(workers);
    while (this.duplicateStraggler(workers)) this.leaseWaiting(workers);
  }

  tick(): void {
    const { sessions, decisions } = this.setup;
    // The first waiting node could be what all others wait for, and nobody has room for it: make room.
    if (decisions.now - this.lastCoverageAt < STALL_MS) return;
    if (sessions.ready().some(({ id }) => this.canTake(id))) return;
    const last = this.book.stalled();
    if (!last) return;
    this.book.endLease(last, decisions.now);
    this.recall(last);
    this.publishEnd(last, 'recalled');
  }

  /** The round is given up: its leases are void. */
  abandon(): void {
    for (const lease of this.book.leased) this.publishEnd(lease, 'dropped');
  }

  private leaseWaiting(workers: readonly Session[]): void {
    for (let held = 0; held < MAX_LEASES && this.book.hasWaiting; held++) {
      for (const { id } of workers) if (this.canTake(id)) this.lease(id);
    }
  }

  /** An idle worker always; one that computes is given a lease ahead while it stays within its part of the work. */
  private canTake(session: string): boolean {
    const held = this.book.of(session);
    if (held.length >= MAX_LEASES) return false;
    const batches = held.reduce((sum, lease) => sum + (lease.computed ? 0 : this.book.sizeOf(lease)), 0);
    return batches === 0 || batches + 1 <= this.setup.sessions.share(session) * this.book.uncomputed;
  }

  private lease(session: string): void {
    const { sessions, decisions } = this.setup;
    const lease = this.book.take(session, sessions.share(session), decisions.now);
    if (lease) decisions.add({ type: 'lease', session, node: this.nodeId(lease.node) });
  }

  private duplicateStraggler(workers: readonly Session[]): boolean {
    const { sessions, decisions } = this.setup;
    const idle = workers.filter(({ id }) => this.book.of(id).every(({ computed }) => computed));
    const lease = idle.length > 0 ? straggler(this.book, idle, sessions, decisions.now) : undefined;
    if (!lease) return false;
    this.book.expire(lease);
    decisions.publish({ kind: 'leaseDuplicated', worker: this.nameOf(lease) });
    return true;
  }

  private recall(lease: Lease): void {
    this.setup.decisions.add({ type: 'recall', session: lease.session, node: this.nodeId(lease.node) });
  }

  private nodeId({ level, index }: TreeNode): NodeId {
    return { step: this.step, round: this.number, level, index };
  }

  private publishEnd(lease: Lease, outcome: LeaseOutcome): void {
    const { decisions } = this.setup;
    const worker = this.nameOf(lease);
    const seconds = (decisions.now - lease.issuedAt) / 1000;
    decisions.publish({ kind: 'leaseEnded', worker, outcome, seconds });
  }

  private nameOf({ session }: Lease): string {
    return this.setup.sessions.get(session)?.name ?? session;
  }
}
