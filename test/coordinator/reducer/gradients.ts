// Gradients of a made-up step, their sum as one worker computes it, and cuts of the tree into nodes.
import { ReductionTree, type TreeNode } from '../../../src/protocol/tree.js';
import { GradientSum } from '../../../src/worker/compute/gradient-sum.js';
import { hostGradients } from '../../../src/engine/gradient-memory.js';
import { arithmetic } from '../../simulation/arithmetic.js';
import type { Random } from '../../simulation/random.js';

export interface Step {
  readonly tree: ReductionTree;
  readonly wire: 'float32' | 'bfloat16';
  readonly leaves: readonly Float32Array[];
}

export const ELEMENTS = 7;

/** Values of very different sizes, so that almost every other order of additions has other bits. */
export function randomStep(random: Random, wire: Step['wire']): Step {
  const tree = new ReductionTree(random.between(1, 40));
  const leaf = (): Float32Array =>
    Float32Array.from({ length: ELEMENTS }, () => (random.next() - 0.5) * 2 ** random.between(-12, 12));
  return { tree, wire, leaves: Array.from({ length: tree.leaves }, leaf) };
}

/** A node's gradient as a worker computes it; the ranges of a micro-batch are written in random order. */
export function nodeGradient(
  step: Step,
  node: TreeNode,
  random: Random,
  sum = gradientSum(step),
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(ELEMENTS).fill(NaN);
  const { start, end } = step.tree.range(node);
  sum.reset();
  for (let leaf = start; leaf < end; leaf++) {
    sum.beginLeaf(leaf, leaf === end - 1, out);
    for (const [offset, size] of random.shuffle([
      [0, 2],
      [2, 4],
      [6, 1],
    ] as const)) {
      sum.write(offset, size, step.leaves[leaf]!.slice(offset, offset + size));
    }
    sum.endLeaf();
  }
  return out;
}

export function gradientSum({ tree, wire }: Step): GradientSum {
  return new GradientSum({ tree, elements: ELEMENTS, wire, memory: hostGradients(arithmetic) });
}

/** The sum by the tree's definition: a node is its left child plus its right one. */
export function definition(step: Step, node = step.tree.root): Float32Array {
  const children = step.tree.children(node);
  const out = new Float32Array(ELEMENTS);
  if (!children) {
    out.set(step.leaves[step.tree.range(node).start]!);
    if (step.wire === 'bfloat16') arithmetic.roundToBfloat16(out, ELEMENTS);
    return out;
  }
  const [left, right] = children.map((child) => definition(step, child));
  arithmetic.add(out, left!, right!, ELEMENTS, step.wire === 'bfloat16');
  return out;
}

/** Disjoint canonical nodes that cover all micro-batches. */
export function randomPartition(tree: ReductionTree, random: Random, node = tree.root): TreeNode[] {
  const children = tree.children(node);
  if (!children || random.chance(0.3)) return [node];
  return children.flatMap((child) => randomPartition(tree, random, child));
}

export function randomNode(tree: ReductionTree, random: Random): TreeNode {
  return random.pick(randomPartition(tree, random));
}
