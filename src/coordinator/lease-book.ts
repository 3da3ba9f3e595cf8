// The book of one step: which micro-batches are done, which nodes are leased to whom, and which wait. It decides
// how much of the tree a worker gets, never when.
import type { BatchStats } from '../protocol/stats.js';
import { nodeKey, type LeafRange, type ReductionTree, type TreeNode } from '../protocol/tree.js';

/** A lease never covers more than 2^4 micro-batches: what a lost worker costs, and what it has to hold. */
const MAX_LEVEL = 4;

export interface Lease {
  readonly node: TreeNode;
  readonly session: string;
  readonly issuedAt: number; // ms
  /** The node is computed to compare, not to be counted: it may be covered already. */
  readonly audit: boolean;
  /** When its worker could begin with it, ms; undefined while the worker has another to compute before it. */
  startedAt: number | undefined;
  /** When its worker told the node's losses, and how long it computed, ms; its gradient may still be on the way. */
  computed: { readonly at: number; readonly ms: number } | undefined;
  /** Put back into the pool because it comes too late; whoever is first wins. */
  expired: boolean;
}

export class LeaseBook {
  /** Nodes that nobody computes, ascending and disjoint. */
  private pool: TreeNode[];
  private readonly leases = new Map<string, Lease>();
  /** The same by session. */
  private readonly held = new Map<string, Lease[]>();
  /** Sessions that have had a lease of this step. */
  private readonly served = new Set<string>();
  /** Keys of all leases ever given: one that was taken back may have been computed all the same. */
  private readonly given = new Set<string>();
  /** By micro-batch: how many reducers have it. */
  private readonly coveredBy: Int32Array;
  readonly stats: (BatchStats | undefined)[];
  private doneLeaves = 0;
  private unknownLosses: number;
  /** Something became done since the last settling. */
  private unsettled = false;

  constructor(
    readonly tree: ReductionTree,
    private readonly reducers: number,
    private readonly maxLevel = MAX_LEVEL,
  ) {
    this.pool = [tree.root];
    this.coveredBy = new Int32Array(tree.leaves);
    this.stats = Array.from({ length: tree.leaves });
    this.unknownLosses = tree.leaves;
  }

  /** Every micro-batch is in the sums of all reducers, and its loss is known. */
  get done(): boolean {
    return this.doneLeaves === this.tree.leaves;
  }

  /** Micro-batches that wait for a worker. */
  get waiting(): number {
    return this.pool.reduce((sum, node) => sum + size(this.tree.range(node)), 0);
  }

  /** Micro-batches whose loss is not known yet. */
  get uncomputed(): number {
    return this.unknownLosses;
  }

  get hasWaiting(): boolean {
    return this.pool.length > 0;
  }

  /** Start of the first node that waits; Infinity when none does. */
  get firstWaiting(): number {
    return this.pool[0] ? this.tree.range(this.pool[0]).start : Infinity;
  }

  get leased(): Iterable<Lease> {
    return this.leases.values();
  }

  of(session: string): readonly Lease[] {
    return this.held.get(session) ?? [];
  }

  /**
   * Leases the first waiting node, or its first part when it is more than this worker's part of the work. `share`:
   * its speed as a part of all workers'. Its first lease of a step is that part of the whole step, each further one of
   * what still waits: large subtrees first, smaller ones as the step runs out, so that a slow worker takes fewer.
   */
  take(session: string, share: number, now: number): Lease | undefined {
    const next = this.pool.findIndex((node) => !this.overlaps(session, node));
    if (next < 0) return undefined;
    const work = this.served.has(session) ? this.waiting : this.tree.leaves;
    const most = Math.max(1, Math.round(work * share));
    this.served.add(session);
    let [node] = this.pool.splice(next, 1) as [TreeNode];
    for (;;) {
      const children = this.tree.children(node);
      if (!children || (size(this.tree.range(node)) <= most && node.level <= this.maxLevel)) break;
      this.pool.splice(next, 0, children[1]);
      node = children[0];
    }
    return this.add(session, node, false, now);
  }

  /** Leases this very node. */
  add(session: string, node: TreeNode, audit: boolean, now: number): Lease {
    const lease: Lease = {
      node,
      session,
      issuedAt: now,
      audit,
      startedAt: undefined,
      computed: undefined,
      expired: false,
    };
    this.leases.set(leaseKey(session, node), lease);
    this.given.add(leaseKey(session, node));
    this.held.set(session, [...this.of(session), lease]);
    this.startNext(session, now);
    return lease;
  }

  /** A worker already at a part of the node, or at more than it, is no help with it. */
  private overlaps(session: string, node: TreeNode): boolean {
    const { start, end } = this.tree.range(node);
    return this.of(session).some((lease) => {
      const range = this.tree.range(lease.node);
      return range.start < end && start < range.end;
    });
  }

  /** The first lease that a worker has not computed is what it computes. */
  private startNext(session: string, now: number): void {
    const next = this.of(session).find(({ computed }) => !computed);
    if (next) next.startedAt ??= now;
  }

  /** Notes what a worker computed, and in what time; false when it never had the node, or the numbers are not its. */
  computed(
    session: string,
    node: TreeNode,
    stats: readonly BatchStats[],
    seconds: number,
    now: number,
  ): boolean {
    const range = this.tree.range(node);
    if (stats.length !== size(range) || !this.given.has(leaseKey(session, node))) return false;
    const lease = this.leases.get(leaseKey(session, node));
    if (lease) {
      lease.startedAt ??= lease.issuedAt;
      lease.computed = { at: now, ms: seconds * 1000 };
      this.startNext(session, now);
    }
    stats.forEach((stat, i) => {
      const leaf = range.start + i;
      if (this.stats[leaf] !== undefined) return;
      this.stats[leaf] = stat;
      this.unknownLosses--;
      if (this.coveredBy[leaf] === this.reducers) this.markDone();
    });
    return true;
  }

  /** One more reducer has these micro-batches in all its sums. */
  covered(leaves: readonly number[]): void {
    for (const leaf of leaves) {
      if (++this.coveredBy[leaf]! === this.reducers && this.stats[leaf]) this.markDone();
    }
  }

  private markDone(): void {
    this.doneLeaves++;
    this.unsettled = true;
  }

  /** Takes out the leases, and the waiting nodes, of which nothing is wanted any more. */
  settle(now: number): Lease[] {
    if (!this.unsettled) return [];
    this.unsettled = false;
    this.pool = this.pool.filter((node) => !this.isDone(node));
    const settled = [...this.leases.values()].filter((lease) => !lease.audit && this.isDone(lease.node));
    for (const lease of settled) this.forget(lease, now);
    return settled;
  }

  /** Ends a session's leases; what nobody else computes waits again, at its place from the left. */
  release(session: string, now: number): Lease[] {
    const released = [...this.of(session)];
    for (const lease of released) this.endLease(lease, now);
    return released;
  }

  /**
   * The rightmost computed lease, if what waits first is what its gradient may have to wait for. What somebody still
   * computes further left is granted as soon as it comes: that is no stall.
   */
  stalled(): Lease | undefined {
    const start = (lease: Lease): number => this.tree.range(lease.node).start;
    const leases = [...this.leases.values()].sort((a, b) => start(a) - start(b));
    if (leases.some((lease) => !lease.expired && !lease.audit && start(lease) < this.firstWaiting))
      return undefined;
    return leases.filter((lease) => lease.computed && start(lease) > this.firstWaiting).at(-1);
  }

  endLease(lease: Lease, now: number): void {
    this.forget(lease, now);
    if (!lease.expired && !lease.audit) this.requeue(lease.node);
  }

  private forget(lease: Lease, now: number): void {
    const { session } = lease;
    this.leases.delete(leaseKey(session, lease.node));
    this.held.set(
      session,
      this.of(session).filter((other) => other !== lease),
    );
    this.startNext(session, now);
  }

  /** Lets other workers try the same node, or parts of it; the lease lives on, and whoever is first wins. */
  expire(lease: Lease): void {
    lease.expired = true;
    this.requeue(lease.node);
  }

  private requeue(node: TreeNode): void {
    for (const rest of this.undone(node)) this.pool.push(rest);
    this.pool.sort((a, b) => this.tree.range(a).start - this.tree.range(b).start);
  }

  /** The node, or what is left of it where parts of it are done. */
  private undone(node: TreeNode): TreeNode[] {
    if (this.isDone(node)) return [];
    const { start, end } = this.tree.range(node);
    let children: readonly TreeNode[] | undefined;
    for (let leaf = start; leaf < end && !children; leaf++)
      if (this.isLeafDone(leaf)) children = this.tree.children(node);
    return children ? children.flatMap((child) => this.undone(child)) : [node];
  }

  private isDone(node: TreeNode): boolean {
    const { start, end } = this.tree.range(node);
    for (let leaf = start; leaf < end; leaf++) if (!this.isLeafDone(leaf)) return false;
    return true;
  }

  private isLeafDone(leaf: number): boolean {
    return this.coveredBy[leaf] === this.reducers && this.stats[leaf] !== undefined;
  }

  /** Micro-batches of a lease. */
  sizeOf({ node }: Lease): number {
    return size(this.tree.range(node));
  }
}

function size({ start, end }: LeafRange): number {
  return end - start;
}

function leaseKey(session: string, node: TreeNode): string {
  return `${session}/${nodeKey(node)}`;
}
