// Which chunks of which offered node may be sent now. The budget bounds the partial sums held for nodes that
// came early; the leftmost uncovered node of a chunk is always granted, so a full budget can never deadlock. What a
// worker was never leased is never granted to it. Of a node that is audited every worker's gradient is wanted.
import { isEarlier, nodeIdKey, type NodeId } from '../../protocol/node-id.js';
import type { LeafRange, ReductionTree } from '../../protocol/tree.js';
import type { ChunkSum } from './chunk-sum.js';
import type { ContributionHash } from './inspection.js';

export interface Offer {
  readonly session: string;
  readonly node: NodeId;
  /** The micro-batches of the node. */
  readonly range: LeafRange;
  /** What the coordinator told of it; undefined as long as it has not. */
  leased: Leased | undefined;
  /** Chunks are granted in descending order, the order in which a backward pass finishes them; -1: none yet. */
  next: number;
  /** Granted and not yet received; true: counted against the budget. */
  readonly outstanding: Map<number, boolean>;
}

export interface StepSums {
  readonly firstChunk: number;
  /** By chunk, from `firstChunk`. */
  readonly chunks: readonly ChunkSum[];
}

interface Leased {
  readonly session: string;
  readonly node: NodeId;
  /** Of an audited node: what has come of it. */
  readonly hash: ContributionHash | undefined;
}

export class Offers {
  private readonly offers = new Map<string, Offer>();
  /** The same, by the start of their nodes; of equal ones the first that came first. Kept in order: grants are many. */
  private readonly ordered: Offer[] = [];
  /** Chunks under way that count against the budget. */
  private extrasUnderWay = 0;
  /** The computation whose predecessors' leases were taken out last; whether offers of these may be left. */
  private swept: Pick<NodeId, 'step' | 'round'> = { step: -1, round: 0 };
  private mayBeStale = false;
  /** What was leased to whom. A lease that was taken back stays: its worker may have computed it all the same. */
  private readonly leases = new Map<string, Leased>();

  constructor(
    private readonly tree: ReductionTree,
    private readonly lastChunk: number,
    private readonly budget: number,
    /** Chunks of one offer that may be under way at once. */
    private readonly window: number,
  ) {}

  /** The coordinator says so; an offer that came before it has waited. */
  lease(session: string, node: NodeId, hash?: ContributionHash): void {
    const key = offerKey(session, node);
    const leased = { session, node, hash };
    this.leases.set(key, leased);
    const offer = this.offers.get(key);
    if (offer) offer.leased = leased;
  }

  /** Of an audited node: what has come from this worker. */
  hashOf(session: string, node: NodeId): ContributionHash | undefined {
    return this.leases.get(offerKey(session, node))?.hash;
  }

  get all(): Iterable<Offer> {
    return this.offers.values();
  }

  countOf(session: string): number {
    let count = 0;
    for (const offer of this.offers.values()) if (offer.session === session) count++;
    return count;
  }

  add(session: string, node: NodeId): void {
    const key = offerKey(session, node);
    this.remove(session, node);
    const offer: Offer = {
      session,
      node,
      range: this.tree.range(node),
      leased: this.leases.get(key),
      next: this.lastChunk,
      outstanding: new Map(),
    };
    this.offers.set(key, offer);
    const after = this.ordered.findIndex(({ range }) => range.start > offer.range.start);
    this.ordered.splice(after < 0 ? this.ordered.length : after, 0, offer);
    this.mayBeStale = true;
  }

  get(session: string, node: NodeId): Offer | undefined {
    return this.offers.get(offerKey(session, node));
  }

  remove(session: string, node: NodeId): void {
    const offer = this.get(session, node);
    if (offer) this.takeOut(offer);
  }

  private takeOut(offer: Offer): void {
    for (const isExtra of offer.outstanding.values()) if (isExtra) this.extrasUnderWay--;
    this.offers.delete(offerKey(offer.session, offer.node));
    this.ordered.splice(this.ordered.indexOf(offer), 1);
  }

  removeSession(session: string): void {
    for (const offer of this.offers.values()) if (offer.session === session) this.takeOut(offer);
    for (const [key, lease] of this.leases) if (lease.session === session) this.leases.delete(key);
  }

  /** A granted chunk has come; false when it was not granted. */
  received(offer: Offer, chunk: number): boolean {
    if (offer.outstanding.get(chunk)) this.extrasUnderWay--;
    return offer.outstanding.delete(chunk);
  }

  /** Offers that are not of this computation, have nothing under way, and can never be granted again. */
  takeStale(step: number, round: number): Offer[] {
    if (isEarlier(this.swept, { step, round })) this.sweep(step, round);
    if (!this.mayBeStale) return [];
    const earlier = this.ordered.filter(({ node }) => isEarlier(node, { step, round }));
    const stale = earlier.filter(({ outstanding }) => outstanding.size === 0);
    for (const offer of stale) this.takeOut(offer);
    this.mayBeStale = stale.length < earlier.length;
    return stale;
  }

  private sweep(step: number, round: number): void {
    for (const [key, { node }] of this.leases) if (isEarlier(node, { step, round })) this.leases.delete(key);
    this.swept = { step, round };
    this.mayBeStale = true;
  }

  /** Grants what may be sent now and takes out the offers of which nothing more is wanted. */
  grant(step: number, round: number, sums: StepSums): { granted: Map<Offer, number[]>; finished: Offer[] } {
    const granted = new Map<Offer, number[]>();
    const finished: Offer[] = [];
    const { firstChunk, chunks } = sums;
    let held = 0;
    for (const { extras } of chunks) held += extras;
    for (const offer of this.ordered) {
      const { node, range, leased, outstanding } = offer;
      if (!leased || node.step !== step || node.round !== round) continue;
      while (offer.next >= firstChunk && outstanding.size < this.window) {
        const chunk = chunks[offer.next - firstChunk]!;
        const isCovered = chunk.isCovered(range);
        if (!isCovered || leased.hash) {
          const isExtra = !isCovered && range.start > chunk.firstUncovered;
          if (isExtra && held + this.extrasUnderWay >= this.budget) break;
          if (isExtra) this.extrasUnderWay++;
          outstanding.set(offer.next, isExtra);
          granted.set(offer, [...(granted.get(offer) ?? []), offer.next]);
        }
        offer.next--;
      }
      if (offer.next < firstChunk && outstanding.size === 0) finished.push(offer);
    }
    for (const offer of finished) this.takeOut(offer);
    return { granted, finished };
  }
}

function offerKey(session: string, node: NodeId): string {
  return `${session}/${nodeIdKey(node)}`;
}
