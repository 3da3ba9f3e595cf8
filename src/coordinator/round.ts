// One computation of a step: who is leased which node, what has come of it, and whether all of it is there. A lease
// ends when its node is covered, its worker is lost, or another was faster.
import type { LeaseOutcome } from '../metrics/events.js';
import type { NodeId } from '../protocol/node-id.js';
import type { BatchStats } from '../protocol/stats.js';
import type { ReductionTree, TreeNode } from '../protocol/tree.js';
import { Audits, isAudited, type Auditor, type Verdict } from './audits.js';
import type { Decisions } from './decisions.js';
import type { CoordinatorOptions } from './events.js';
import { LeaseBook, type Lease } from './lease-book.js';
import { MAX_LEASES, workerId, type Session, type Sessions } from './sessions.js';
import type { NonFinite } from './reducer/inspection.js';
import { straggler } from './stragglers.js';

/** With nothing covered for this long while work waits and every worker is full, the last lease is recalled. */
const STALL_MS = 2_000;
/** An audit waits for a worker 8 times as long as expected, and at least this long. */
const AUDIT_PATIENCE_MS = 30_000;

export interface RoundSetup {
  readonly tree: ReductionTree;
  readonly reducers: number;
  readonly sessions: Sessions;
  readonly decisions: Decisions;
  readonly audit: CoordinatorOptions['audit'];
  /** Find out what is not finite: every micro-batch is a lease of its own. */
  readonly examine: boolean;
}

/** What a reducer tells of the whole sum of its slice. */
export interface Root {
  readonly blockSums: Float64Array;
  readonly nonFinite: NonFinite | null;
}

export class Round {
  private readonly book: LeaseBook;
  private readonly audits: Audits;
  /** By reducer. */
  readonly roots = new Map<number, Root>();
  private lastCoverageAt: number;

  constructor(
    private readonly step: number,
    /** 0, or one more for each time that the step is computed again. */
    readonly number: number,
    private readonly setup: RoundSetup,
  ) {
    const { tree, reducers, decisions, examine } = setup;
    this.book = new LeaseBook(tree, reducers, examine ? 0 : undefined);
    this.audits = new Audits(reducers);
    this.lastCoverageAt = decisions.now;
    decisions.add({ type: 'begin', step, round: number, examine });
  }

  includes({ step, round }: { readonly step: number; readonly round: number }): boolean {
    return step === this.step && round === this.number;
  }

  /** All reducers have the whole sum, every micro-batch's loss is known, and what is audited was found equal. */
  get done(): boolean {
    return this.book.done && this.roots.size === this.setup.reducers && this.audits.settled;
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
    this.audits.computed(session, node, stats);
    const first = uncomputed - book.uncomputed;
    decisions.publish({ kind: 'results', counts: { first, duplicate: stats.length - first } });
    return true;
  }

  covered(leaves: readonly number[]): void {
    this.lastCoverageAt = this.setup.decisions.now;
    this.book.covered(leaves);
  }

  /** A reducer has received all of a worker's gradient of an audited node. */
  hashed(session: string, node: TreeNode, reducer: number, hash: string): void {
    this.audits.hashed(session, node, reducer, hash);
  }

  /** The session ended: what it held waits again. */
  release(session: string): void {
    this.audits.release(session);
    for (const lease of this.book.release(session, this.setup.decisions.now)) this.publishEnd(lease, 'lost');
  }

  // ---- what is decided

  /** Ends the leases of which nothing is wanted any more; who had not computed them was slower than others. */
  settle(): void {
    const { sessions, decisions } = this.setup;
    for (const lease of this.book.settle(decisions.now)) {
      const elapsedMs = decisions.now - (lease.startedAt ?? decisions.now);
      this.publishEnd(lease, lease.computed ? 'covered' : 'recalled');
      if (lease.computed) sessions.covered(lease.session, Math.max(0, elapsedMs - lease.computed.ms));
      else {
        sessions.lost(lease.session, this.book.sizeOf(lease), elapsedMs / 1000);
        this.recall(lease);
      }
    }
  }

  /** Ends the audits that can be ended, and the leases that were for them only. */
  judge(): Verdict[] {
    if (this.audits.settled) return [];
    const verdicts = this.audits.takeVerdicts(this.setup.sessions.ready().map(auditorOf));
    for (const { outcome } of verdicts) this.setup.decisions.publish({ kind: 'nodeAudited', outcome });
    for (const lease of [...this.book.leased].filter(({ audit }) => audit)) {
      const { session, node, computed } = lease;
      if (!this.audits.has(node) && !computed) this.takeBack(lease);
      else if (!this.audits.has(node) || this.audits.isComplete(session, node)) {
        this.book.endLease(lease, this.setup.decisions.now);
        this.publishEnd(lease, 'covered');
      }
    }
    return verdicts;
  }

  /** Gives every worker what it can take; near the end of the step, what is audited, and what others are late with. */
  leaseOut(): void {
    const workers = this.setup.sessions.ready();
    this.leaseWaiting(workers);
    if (!this.audits.settled && !this.book.hasWaiting) this.leaseAudits(workers);
    while (this.duplicateStraggler(workers)) this.leaseWaiting(workers);
  }

  tick(): void {
    const { sessions, decisions } = this.setup;
    this.takeBackLateAudits();
    // The first waiting node could be what all others wait for, and nobody has room for it: make room.
    if (decisions.now - this.lastCoverageAt < STALL_MS) return;
    if (sessions.ready().some(({ id }) => this.canTake(id))) return;
    const last = this.book.stalled();
    if (last) this.takeBack(last);
  }

  private takeBackLateAudits(): void {
    const { sessions, decisions } = this.setup;
    for (const lease of [...this.book.leased].filter(({ audit }) => audit)) {
      const expectedMs = sessions.expectedMs(lease.session, this.book.sizeOf(lease));
      const patienceMs = Math.max(AUDIT_PATIENCE_MS, 8 * expectedMs);
      if (decisions.now - lease.issuedAt > patienceMs) this.takeBack(lease);
    }
  }

  /** What its worker has of it is not wanted any more. */
  private takeBack(lease: Lease): void {
    this.book.endLease(lease, this.setup.decisions.now);
    this.recall(lease);
    this.publishEnd(lease, 'recalled');
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
    if (lease) this.tellLease(lease, this.canBeAudited(lease));
  }

  private tellLease({ session, node }: Lease, audited: boolean): void {
    if (audited) this.audits.leased(auditorOf(this.setup.sessions.get(session)!), node);
    this.setup.decisions.add({ type: 'lease', session, node: this.nodeId(node), audited });
  }

  /** Whether its node is audited, and another worker is here that computes the same bits. */
  private canBeAudited({ session, node }: Lease): boolean {
    const { audit, sessions } = this.setup;
    if (!isAudited(audit, this.step, node)) return false;
    const { worker, fingerprint } = auditorOf(sessions.get(session)!);
    return sessions
      .ready()
      .map(auditorOf)
      .some((other) => other.worker !== worker && other.fingerprint === fingerprint);
  }

  private leaseAudits(workers: readonly Session[]): void {
    for (const { node, mayCompute } of this.audits.wanted()) {
      const auditor = workers.find(
        (worker) => mayCompute(auditorOf(worker)) && this.isIdle(worker.id) && this.canTake(worker.id),
      );
      if (auditor) this.tellLease(this.book.add(auditor.id, node, true, this.setup.decisions.now), true);
    }
  }

  private isIdle(session: string): boolean {
    return this.book.of(session).every(({ computed }) => computed);
  }

  private duplicateStraggler(workers: readonly Session[]): boolean {
    const { sessions, decisions } = this.setup;
    const idle = workers.filter(({ id }) => this.isIdle(id));
    const lease =
      idle.length > 0 ? straggler(this.book, idle, sessions, decisions.now, this.lastCoverageAt) : undefined;
    if (!lease) return false;
    this.book.expire(lease);
    decisions.publish({ kind: 'leaseDuplicated', worker: this.nameOf(lease) });
    return true;
  }

  private recall(lease: Lease): void {
    this.audits.drop(lease.session, lease.node);
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

/** Of a session that is ready. */
function auditorOf(session: Session): Auditor {
  return { session: session.id, worker: workerId(session), fingerprint: session.fingerprint! };
}
