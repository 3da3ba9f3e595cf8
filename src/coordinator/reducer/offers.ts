// Which chunks of which offered node may be sent now. The budget bounds the partial sums held for nodes that
// came early; the leftmost uncovered node of a chunk is always granted, so a full budget can never deadlock. What a
// worker was never leased is never granted to it. Of a node that is audited every worker's gradient is wanted.
import type { NodeId } from '../../protocol/messages.js';
import { isEarlier, nodeIdKey } from '../../protocol/node-id.js';
import type { ReductionTree } from '../../protocol/tree.js';
import type { ChunkSum } from './chunk-sum.js';
import type { ContributionHash } from './inspection.js';

export interface Offer {
  readonly session: string;
  readonly node: NodeId;
  /** Chunks are granted in descending order, the order in which a backward pass finishes them; -1: none yet. */
  next: number;
  /** Granted and not yet received; true: counted against the budget. */
  readonly outstanding: Map<number, boolean>;
}

export interface StepSums {
  readonly tree: ReductionTree;
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
  /** What was leased to whom. A lease that was taken back stays: its worker may have computed it all the same. */
  private readonly leases = new Map<string, Leased>();

  constructor(
    private readonly lastChunk: number,
    private readonly budget: number,
    /** Chunks of one offer that may be under way at once. */
    private readonly window: number,
  ) {}

  /** The coordinator says so; an offer that came before it has waited. */
  lease(session: string, node: NodeId, hash?: ContributionHash): void {
    this.leases.set(offerKey(session, node), { session, node, hash });
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
    this.offers.set(offerKey(session, node), { session, node, next: this.lastChunk, outstanding: new Map() });
  }

  get(session: string, node: NodeId): Offer | undefined {
    return this.offers.get(offerKey(session, node));
  }

  remove(session: string, node: NodeId): void {
    this.offers.delete(offerKey(session, node));
  }

  removeSession(session: string): void {
    for (const [key, offer] of this.offers) if (offer.session === session) this.offers.delete(key);
    for (const [key, lease] of this.leases) if (lease.session === session) this.leases.delete(key);
  }

  /** Offers that are not of this computation, have nothing under way, and can never be granted again. */
  takeStale(step: number, round: number): Offer[] {
    for (const [key, { node }] of this.leases) if (isEarlier(node, { step, round })) this.leases.delete(key);
    const stale = [...this.offers.values()].filter(
      ({ node, outstanding }) => isEarlier(node, { step, round }) && outstanding.size === 0,
    );
    for (const offer of stale) this.remove(offer.session, offer.node);
    return stale;
  }

  /** Grants what may be sent now and takes out the offers of which nothing more is wanted. */
  grant(step: number, round: number, sums: StepSums): { granted: Map<Offer, number[]>; finished: Offer[] } {
    const granted = new Map<Offer, number[]>();
    const finished: Offer[] = [];
    let used = this.budgetUsed(sums);
    const current = [...this.offers]
      .filter(([key, { node }]) => node.step === step && node.round === round && this.leases.has(key))
      .map(([, offer]) => offer);
    current.sort((a, b) => sums.tree.range(a.node).start - sums.tree.range(b.node).start);
    for (const offer of current) {
      const range = sums.tree.range(offer.node);
      while (offer.next >= sums.firstChunk && offer.outstanding.size < this.window) {
        const chunk = sums.chunks[offer.next - sums.firstChunk]!;
        const isCovered = chunk.isCovered(range);
        if (!isCovered || this.hashOf(offer.session, offer.node)) {
          const isExtra = !isCovered && range.start > chunk.firstUncovered;
          if (isExtra && used >= this.budget) break;
          if (isExtra) used++;
          offer.outstanding.set(offer.next, isExtra);
          granted.set(offer, [...(granted.get(offer) ?? []), offer.next]);
        }
        offer.next--;
      }
      if (offer.next < sums.firstChunk && offer.outstanding.size === 0) finished.push(offer);
    }
    for (const offer of finished) this.remove(offer.session, offer.node);
    return { granted, finished };
  }

  private budgetUsed(sums: StepSums): number {
    let used = sums.chunks.reduce((sum, chunk) => sum + chunk.extras, 0);
    for (const offer of this.offers.values())
      for (const isExtra of offer.outstanding.values()) if (isExtra) used++;
    return used;
  }
}

function offerKey(session: string, node: NodeId): string {
  return `${session}/${nodeIdKey(node)}`;
}
