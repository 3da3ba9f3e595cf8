// The sum of one chunk of a step's gradient: contributions arrive for nodes of the tree in any order, and the
// tree alone decides what is added to what.
import { nodeKey, type LeafRange, type ReductionTree, type TreeNode } from '../../protocol/tree.js';
import type { BufferPool } from './buffer-pool.js';
import type { Contribution } from './contribution.js';

/** out = left + right, rounded as the wire format asks. */
export type Add = (out: Float32Array, left: Float32Array, right: Float32Array) => void;

export interface PartialSum {
  readonly node: TreeNode;
  readonly values: Float32Array<ArrayBuffer>;
}

export class ChunkSum {
  /** The partial sums that wait for their siblings: disjoint nodes. */
  private readonly sums = new Map<string, PartialSum>();
  private readonly covered: Uint8Array;
  /** The leftmost micro-batch that is not covered; the number of micro-batches when all are. */
  firstUncovered = 0;
  /** Partial sums beyond the covered prefix: what the byte budget has to bound. */
  extras = 0;

  constructor(
    private readonly tree: ReductionTree,
    private readonly pool: BufferPool,
    private readonly add: Add,
  ) {
    this.covered = new Uint8Array(tree.leaves);
  }

  isCovered({ start, end }: LeafRange): boolean {
    for (let leaf = start; leaf < end; leaf++) if (!this.covered[leaf]) return false;
    return true;
  }

  /**
   * Takes a node's contribution; what is not ours is copied if it has to wait for its sibling. Returns the micro-batches that
   * became covered: none when all of them were, and the contribution is dropped.
   */
  accept(node: TreeNode, contribution: Contribution): number[] {
    const range = this.tree.range(node);
    const fresh: number[] = [];
    for (let leaf = range.start; leaf < range.end; leaf++) if (!this.covered[leaf]) fresh.push(leaf);
    if (fresh.length === 0) {
      if (contribution.isOurs) this.pool.release(contribution.values);
      return fresh;
    }
    this.dropWithin(range);
    for (const leaf of fresh) this.covered[leaf] = 1;
    this.combine(node, contribution);
    while (this.firstUncovered < this.tree.leaves && this.covered[this.firstUncovered]) this.firstUncovered++;
    this.extras = 0;
    for (const sum of this.sums.values()) {
      if (this.tree.range(sum.node).start >= this.firstUncovered) this.extras++;
    }
    return fresh;
  }

  /** The sums that wait for their siblings, in no order. */
  get partials(): Iterable<PartialSum> {
    return this.sums.values();
  }

  /** The whole sum, once everything is covered. */
  get root(): Float32Array<ArrayBuffer> | undefined {
    return this.sums.get(nodeKey(this.tree.root))?.values;
  }

  /** Gives all buffers back. */
  clear(): void {
    for (const sum of this.sums.values()) this.pool.release(sum.values);
    this.sums.clear();
  }

  /** A node's contribution replaces those of its descendants. */
  private dropWithin({ start, end }: LeafRange): void {
    for (const [key, sum] of this.sums) {
      const range = this.tree.range(sum.node);
      if (range.start >= start && range.end <= end) {
        this.pool.release(sum.values);
        this.sums.delete(key);
      }
    }
  }

  /** Adds siblings as long as there are any, the left one always on the left, into a buffer that is ours. */
  private combine(from: TreeNode, { values: given, isOurs }: Contribution): void {
    let node = from;
    let sum = isOurs ? given : undefined;
    for (;;) {
      const sibling = this.tree.sibling(node);
      const other = sibling && this.sums.get(nodeKey(sibling));
      if (!other) break;
      this.sums.delete(nodeKey(other.node));
      const isLeft = this.tree.range(node).start < this.tree.range(other.node).start;
      const values = sum ?? given;
      const out = sum ?? other.values;
      if (isLeft) this.add(out, values, other.values);
      else this.add(out, other.values, values);
      if (sum) this.pool.release(other.values);
      sum = out;
      node = this.tree.parent(node);
    }
    this.sums.set(nodeKey(node), { node, values: sum ?? this.pool.copyOf(given) });
  }
}
