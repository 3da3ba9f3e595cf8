// The reducer's sum of a chunk has the bits of the one-worker sum, whatever the parts and the order they come in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool } from '../../../src/coordinator/reducer/buffer-pool.js';
import { ChunkSum } from '../../../src/coordinator/reducer/chunk-sum.js';
import type { TreeNode } from '../../../src/protocol/tree.js';
import { arithmetic, bitsOf } from '../../simulation/arithmetic.js';
import { Random } from '../../simulation/random.js';
import { ELEMENTS, nodeGradient, randomNode, randomPartition, randomStep, type Step } from './gradients.js';

/** Counts the buffers that are in somebody's hands. */
class CountingPool extends BufferPool {
  held = 0;

  override acquire(length: number): Float32Array<ArrayBuffer> {
    this.held++;
    return super.acquire(length);
  }

  override release(values: Float32Array<ArrayBuffer>): void {
    this.held--;
    values.fill(NaN);
    super.release(values);
  }
}

function chunkSum(step: Step): { sum: ChunkSum; pool: CountingPool } {
  const pool = new CountingPool(ELEMENTS);
  const isHalf = step.wire === 'bfloat16';
  const sum = new ChunkSum(step.tree, pool, (out, left, right) =>
    arithmetic.add(out, left, right, ELEMENTS, isHalf),
  );
  return { sum, pool };
}

/** The partition in random order, with random other nodes, among them repetitions, in between. */
function arrivals(step: Step, random: Random): TreeNode[] {
  const others = Array.from({ length: random.below(8) }, () => randomNode(step.tree, random));
  return random.shuffle([...randomPartition(step.tree, random), ...others]);
}

for (const wire of ['float32', 'bfloat16'] as const) {
  test(`the sum has the one-worker sum's bits, whatever parts come in whatever order (${wire})`, () => {
    const random = new Random(10);
    for (let run = 0; run < 600; run++) {
      const step = randomStep(random, wire);
      const { sum, pool } = chunkSum(step);
      for (const node of arrivals(step, random)) {
        // As it comes over the wire, where the frame is nobody's a moment later, or in a buffer of the pool.
        const isOurs = random.chance(0.5);
        const gradient = nodeGradient(step, node, random);
        const values = isOurs ? pool.copyOf(gradient) : Float32Array.from(gradient);
        const before = values.slice();
        sum.accept(node, { values, isOurs });
        if (isOurs) continue;
        assert.deepEqual(values, before, 'what is not ours is only read');
        values.fill(NaN);
      }
      assert.ok(sum.root, 'everything has come');
      assert.equal(bitsOf(sum.root), bitsOf(nodeGradient(step, step.tree.root, random)));
      assert.equal(pool.held, 1);
      sum.clear();
      assert.equal(pool.held, 0);
    }
  });
}

test('every micro-batch is reported as covered once, and only what is covered counts as such', () => {
  const random = new Random(11);
  for (let run = 0; run < 300; run++) {
    const step = randomStep(random, 'float32');
    const { sum, pool } = chunkSum(step);
    const covered = new Set<number>();
    for (const node of arrivals(step, random)) {
      const { start, end } = step.tree.range(node);
      for (const leaf of sum.accept(node, { values: pool.acquire(ELEMENTS), isOurs: true })) {
        assert.ok(leaf >= start && leaf < end && !covered.has(leaf));
        covered.add(leaf);
      }
      assert.ok(sum.isCovered({ start, end }));
      let first = 0;
      while (covered.has(first)) first++;
      assert.equal(sum.firstUncovered, first);
    }
    assert.equal(covered.size, step.tree.leaves);
  }
});

test('all partial sums but log2 of the covered prefix are counted as extra', () => {
  const random = new Random(12);
  for (let run = 0; run < 300; run++) {
    const step = randomStep(random, 'float32');
    const { sum, pool } = chunkSum(step);
    for (const node of arrivals(step, random)) {
      sum.accept(node, { values: pool.acquire(ELEMENTS), isOurs: true });
      assert.ok(sum.extras >= 0);
      assert.ok(pool.held - sum.extras <= step.tree.rootLevel + 1);
    }
    assert.equal(sum.extras, 0);
  }
});
