// A worker's sum of a node's gradients has the bits that the tree defines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  definition,
  gradientSum,
  nodeGradient,
  randomNode,
  randomStep,
} from '../coordinator/reducer/gradients.js';
import { bitsOf, toBfloat16 } from '../simulation/arithmetic.js';
import { Random } from '../simulation/random.js';

for (const wire of ['float32', 'bfloat16'] as const) {
  test(`a node's sum is its left child plus its right one, whatever the node (${wire})`, () => {
    const random = new Random(1);
    for (let run = 0; run < 300; run++) {
      const step = randomStep(random, wire);
      for (const node of [step.tree.root, randomNode(step.tree, random)]) {
        assert.equal(bitsOf(nodeGradient(step, node, random)), bitsOf(definition(step, node)));
      }
    }
  });

  test(`a node that was abandoned after any micro-batch leaves no trace in the next one's sum (${wire})`, () => {
    const random = new Random(2);
    for (let run = 0; run < 100; run++) {
      const step = randomStep(random, wire);
      const sum = gradientSum(step);
      const { start, end } = step.tree.range(randomNode(step.tree, random));
      for (let leaf = start; leaf < start + random.below(end - start); leaf++) {
        sum.beginLeaf(leaf, false, new Float32Array(0));
        sum.write(0, 7, step.leaves[leaf]!);
        sum.endLeaf();
      }
      const node = randomNode(step.tree, random);
      assert.equal(bitsOf(nodeGradient(step, node, random, sum)), bitsOf(definition(step, node)));
    }
  });
}

test('with the 16-bit wire every value of a sum is a bfloat16', () => {
  const random = new Random(3);
  const step = randomStep(random, 'bfloat16');
  const sum = nodeGradient(step, step.tree.root, random);
  assert.deepEqual(sum.map(toBfloat16), sum);
});

test('a parameter that the loss does not reach adds zeros', () => {
  const random = new Random(4);
  const step = randomStep(random, 'float32');
  const out = new Float32Array(7).fill(NaN);
  const sum = gradientSum(step);
  for (let leaf = 0; leaf < step.tree.leaves; leaf++) {
    sum.beginLeaf(leaf, leaf === step.tree.leaves - 1, out);
    sum.write(0, 6, null);
    sum.write(6, 1, Float32Array.of(1));
    sum.endLeaf();
  }
  assert.deepEqual([...out], [0, 0, 0, 0, 0, 0, step.tree.leaves]);
});
