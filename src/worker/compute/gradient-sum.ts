// The gradient of a node: its micro-batches' gradients added in the order of the tree. Every finished
// micro-batch but the last goes onto a stack of partial sums; the last one is added range by range as its
// parameters' gradients become final, so that the node's sum can leave while the backward still runs.
import type { GradientMemory } from '../../engine/gradient-memory.js';
import type { Floats } from '../../engine/native/addon.js';
import type { WireFormat } from '../../protocol/job.js';
import { nodeKey, type ReductionTree, type TreeNode } from '../../protocol/tree.js';
import { assert } from '../../util/errors.js';

export interface GradientSumOptions {
  readonly tree: ReductionTree;
  /** Elements of a gradient. */
  readonly elements: number;
  /** With the 16-bit wire leaves and sums are rounded, whether or not they cross it. */
  readonly wire: WireFormat;
  readonly memory: GradientMemory;
}

interface Partial {
  readonly node: TreeNode;
  readonly values: Floats;
}

export class GradientSum {
  private readonly free: Floats[] = [];
  private stack: Partial[] = [];
  private target!: { leaf: number; isLast: boolean; values: Floats };

  constructor(private readonly options: GradientSumOptions) {}

  /** Forgets what an abandoned node left. */
  reset(): void {
    for (const { values } of this.stack) this.free.push(values);
    this.stack = [];
  }

  /**
   * The next micro-batch's gradient follows, range by range. The last one's sum is written to `out`. Returns the memory
   * that it is gathered in: a range that was written there already need not be copied.
   */
  beginLeaf(leaf: number, isLast: boolean, out: Floats): Floats {
    const values = isLast ? out : (this.free.pop() ?? this.options.memory.allocate(this.options.elements));
    this.target = { leaf, isLast, values };
    return values;
  }

  /** The gradient of elements [offset, offset + size) of this micro-batch; null: zeros. */
  write(offset: number, size: number, gradient: Floats | null): void {
    const { wire, memory } = this.options;
    const { values, isLast } = this.target;
    const range = memory.part(values, offset, size);
    if (!gradient) memory.zero(range);
    else memory.copy(range, gradient);
    if (wire === 'bfloat16') memory.roundToBfloat16(range, size);
    if (!isLast) return;
    for (let i = this.stack.length - 1; i >= 0; i--) {
      const left = memory.part(this.stack[i]!.values, offset, size);
      memory.add(range, left, range, size, wire === 'bfloat16');
    }
  }

  /** All ranges of the micro-batch are written. */
  endLeaf(): void {
    const { tree, elements, wire, memory } = this.options;
    const { leaf, isLast, values } = this.target;
    if (isLast) return this.reset();
    let node = tree.leaf(leaf);
    for (let left = this.stack.at(-1); left; left = this.stack.at(-1)) {
      const sibling = tree.sibling(node);
      if (!sibling || nodeKey(sibling) !== nodeKey(left.node)) break;
      assert(tree.range(left.node).start < tree.range(node).start, 'the stack holds left siblings');
      memory.add(values, left.values, values, elements, wire === 'bfloat16');
      this.free.push(left.values);
      this.stack.pop();
      node = tree.parent(node);
    }
    this.stack.push({ node, values });
  }
}
