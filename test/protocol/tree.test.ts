// The tree over the micro-batches, for every number of them, not only powers of two.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeKey, ReductionTree, type TreeNode } from '../../src/protocol/tree.js';

const MOST_LEAVES = 200;

/** All nodes reached from the root. */
function nodesOf(tree: ReductionTree, node = tree.root): TreeNode[] {
  const children = tree.children(node);
  return [node, ...(children ? children.flatMap((child) => nodesOf(tree, child)) : [])];
}

function forEveryTree(check: (tree: ReductionTree, nodes: readonly TreeNode[]) => void): void {
  for (let leaves = 1; leaves <= MOST_LEAVES; leaves++) {
    const tree = new ReductionTree(leaves);
    check(tree, nodesOf(tree));
  }
}

test('the recursion from the root covers each micro-batch once, in order', () => {
  forEveryTree((tree, nodes) => {
    const single = nodes.filter((node) => !tree.children(node)).map((node) => tree.range(node));
    assert.deepEqual(
      single,
      Array.from({ length: tree.leaves }, (_, leaf) => ({ start: leaf, end: leaf + 1 })),
    );
    assert.equal(nodes.length, 2 * tree.leaves - 1);
  });
});

test('a node covers what its two children cover, the left one first', () => {
  forEveryTree((tree, nodes) => {
    for (const node of nodes) {
      const children = tree.children(node);
      if (!children) continue;
      const [left, right] = children.map((child) => tree.range(child));
      assert.equal(left!.end, right!.start);
      assert.deepEqual({ start: left!.start, end: right!.end }, tree.range(node));
    }
  });
});

test('parent and sibling undo children', () => {
  forEveryTree((tree, nodes) => {
    for (const node of nodes) {
      const children = tree.children(node);
      if (!children) continue;
      const [left, right] = children;
      assert.deepEqual(tree.parent(left), node);
      assert.deepEqual(tree.parent(right), node);
      assert.deepEqual(tree.sibling(left), right);
      assert.deepEqual(tree.sibling(right), left);
    }
    assert.equal(tree.sibling(tree.root), undefined);
  });
});

test('canonical nodes are exactly those reached from the root', () => {
  forEveryTree((tree, nodes) => {
    const reached = new Set(nodes.map(nodeKey));
    assert.equal(reached.size, nodes.length);
    for (let level = -1; level <= tree.rootLevel + 1; level++) {
      for (let index = -1; index <= tree.leaves + 1; index++) {
        assert.equal(tree.isCanonical({ level, index }), reached.has(nodeKey({ level, index })));
      }
    }
  });
});

test('a micro-batch is named by the canonical node that covers it alone', () => {
  forEveryTree((tree) => {
    for (let leaf = 0; leaf < tree.leaves; leaf++) {
      const node = tree.leaf(leaf);
      assert.ok(tree.isCanonical(node));
      assert.deepEqual(tree.range(node), { start: leaf, end: leaf + 1 });
    }
  });
});
