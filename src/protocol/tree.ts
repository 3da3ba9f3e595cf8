// The binary tree over a step's micro-batches: it fixes the order in which gradients are added, so that their
// sum has the same bits whoever computed which part.

/**
 * Node (level l, index i) covers the micro-batches [i * 2^l, (i + 1) * 2^l), cut off at the number of them.
 * Where the cut leaves a node without a right child it equals its left child: of equal nodes the highest is
 * the canonical one, and only canonical nodes are leased, sent and summed.
 */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
}

/** First micro-batch of a node and the one after its last. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

export class ReductionTree {
  readonly rootLevel: number;

  /** @param leaves number of micro-batches of a step, at least 1 */
  constructor(readonly leaves: number) {
    this.rootLevel = Math.ceil(Math.log2(leaves));
  }

  get root(): TreeNode {
    return { level: this.rootLevel, index: 0 };
  }

  /** Whether the node covers at least one micro-batch and is the highest of its equals. */
  isCanonical(node: TreeNode): boolean {
    if (node.level < 0 || node.level > this.rootLevel || node.index < 0) return false;
    if (node.index * 2 ** node.level >= this.leaves) return false;
    return this.promote(node).level === node.level;
  }

  range({ level, index }: TreeNode): LeafRange {
    const width = 2 ** level;
    return { start: index * width, end: Math.min((index + 1) * width, this.leaves) };
  }

  /** The highest node that covers the same micro-batches. */
  promote(node: TreeNode): TreeNode {
    let { level, index } = node;
    while (level < this.rootLevel && index % 2 === 0 && (index + 1) * 2 ** level >= this.leaves) {
      level++;
      index /= 2;
    }
    return { level, index };
  }

  leaf(microBatch: number): TreeNode {
    return this.promote({ level: 0, index: microBatch });
  }

  /** The node whose sum with this one makes the parent's; undefined for the root. */
  sibling({ level, index }: TreeNode): TreeNode | undefined {
    if (level === this.rootLevel) return undefined;
    return this.promote({ level, index: index % 2 === 0 ? index + 1 : index - 1 });
  }

  parent({ level, index }: TreeNode): TreeNode {
    return this.promote({ level: level + 1, index: Math.floor(index / 2) });
  }

  /** Left and right child; undefined for a single micro-batch. */
  children(node: TreeNode): readonly [TreeNode, TreeNode] | undefined {
    const { start, end } = this.range(node);
    if (end - start === 1) return undefined;
    let { level, index } = node;
    do {
      level--;
      index *= 2;
    } while ((index + 1) * 2 ** level >= end); // descend past the levels where the right child is empty
    return [{ level, index }, this.promote({ level, index: index + 1 })];
  }
}

/** A node's name as a map key. */
export function nodeKey({ level, index }: TreeNode): string {
  return `${level}.${index}`;
}
