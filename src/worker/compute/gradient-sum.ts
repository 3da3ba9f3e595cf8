// The gradient of a node: its micro-batches' gradients added in the order of the tree. Every finished
// micro-batch but the last goes onto a stack of partial sums; the last one is added range by range as its
// parameters' gradients become final, so that the node's sum can leave while the backward still runs.
import type { Addon } from '../../engine/native/addon.js';
import type { WireFormat } from '../../protocol/job.js';
import { nodeKey, type ReductionTree, type TreeNode } from '../../protocol/tree.js';
import { assert } from '../../util/errors.js';

export type SumArithmetic = Pick<Addon, 'add' | 'roundToBfloat16'>;

export interface GradientSumOptions {
  readonly tree: ReductionTree;
  /** Elements of a gradient. */
  readonly elements: number;
  /** With the 16-bit wire leaves and sums are rounded, whether or not they cross it. */
  readonly wire: WireFormat;
  readonly arithmetic: SumArithmetic;
}

interface Partial {
  readonly node: TreeNode;
  readonly values: Float32Array;
}

export class GradientSum {
  private readonly free: Float32Array[] = [];
  private stack: Partial[] = [];
  private target!: { leaf: number; isLast: boolean; values: Float32Array };

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
  beginLeaf(leaf: number, isLast: boolean, out: Float32Array): Float32Array {
    const values = isLast ? out : (this.free.pop() ?? new Float32Array(this.options.elements));
    this.target = { leaf, isLast, values };
    return values;
  }

  /** The gradient of elements [offset, offset + size) of this micro-batch; null: zeros. */
  write(offset: number, size: number, gradient: Float32Array | null): void {
    const { wire, arithmetic } = this.options;
    const { values, isLast } = this.target;
    const range = values.subarray(offset, offset + size);
    if (!gradient) range.fill(0);
    else if (!isSameMemory(gradient, range)) range.set(gradient);
    if (wire === 'bfloat16') arithmetic.roundToBfloat16(range, size);
    if (!isLast) return;
    for (let i = this.stack.length - 1; i >= 0; i--) {
      const left = this.stack[i]!.values.subarray(offset, offset + size);
      arithmetic.add(range, left, range, size, wire === 'bfloat16');
    }
  }

  /** All ranges of the micro-batch are written. */
  endLeaf(): void {
    const { tree, elements, wire, arithmetic } = this.options;
    const { leaf, isLast, values } = this.target;
    if (isLast) return this.reset();
    let node = tree.leaf(leaf);
    for (let left = this.stack.at(-1); left; left = this.stack.at(-1)) {
      const sibling = tree.sibling(node);
      if (!sibling || nodeKey(sibling) !== nodeKey(left.node)) break;
      assert(tree.range(left.node).start < tree.range(node).start, 'the stack holds left siblings');
      arithmetic.add(values, left.values, values, elements, wire === 'bfloat16');
      this.free.push(left.values);
      this.stack.pop();
      node = tree.parent(node);
    }
    this.stack.push({ node, values });
  }
}

function isSameMemory(a: Float32Array, b: Float32Array): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset;
}
