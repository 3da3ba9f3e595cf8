// The sum of one chunk of a step's gradient: contributions arrive for nodes of the tree in any order, and the
// tree alone decides what is added to what.
import { nodeKey, type LeafRange, type ReductionTree, type TreeNode } from '../../protocol/tree.js';
import type { BufferPool } from './buffer-pool.js';

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
   * Takes a node's contribution and its buffer. Returns the micro-batches that became covered: none when all of
   * them were, and the contribution is dropped.
   */
  accept(node: TreeNode, values: Float32Array<ArrayBuffer>): number[] {
    const range = this.tree.range(node);
    const fresh: number[] = [];
    for (let leaf = range.start; leaf < range.end; leaf++) if (!this.covered[leaf]) fresh.push(leaf);
    if (fresh.length === 0) {
      this.pool.release(values);
      return fresh;
    }
    this.dropWithin(range);
    for (const leaf of fresh) this.covered[leaf] = 1;
    this.combine({ node, values });
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

  /** Adds siblings as long as there are any, the left one always on the left. */
  private combine(sum: PartialSum): void {
    const { values } = sum;
    let { node } = sum;
    for (;;) {
      const sibling = this.tree.sibling(node);
      const other = sibling && this.sums.get(nodeKey(sibling));
      if (!other) break;
      this.sums.delete(nodeKey(other.node));
      const isLeft = this.tree.range(node).start < this.tree.range(other.node).start;
      if (isLeft) this.add(values, values, other.values);
      else this.add(values, other.values, values);
      this.pool.release(other.values);
      node = this.tree.parent(node);
    }
    this.sums.set(nodeKey(node), { node, values });
  }
}
