import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package.js';

const main = `${packageRoot}dist/bench/main.js`;

test("`bench engine` measures this engine's step where there is no torch", { timeout: 60_000 }, async () => {
  const args = [main, 'engine', '--quick', '--json', '--threads', '1', '--python', '/no/such/python'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  assert.match(stderr, /without torch, which \/no\/such\/python does not have: pass --python PATH/);
  const { comparisons } = JSON.parse(stdout) as {
    comparisons: {
      precision: string;
      ceilingFlopsPerSecond: number | null;
      measurements: {
        arm: string;
        medianSeconds: number;
        hostSeconds: number;
        kernels: { name: string }[];
      }[];
    }[];
  };
  const [comparison] = comparisons;
  assert.equal(comparison?.precision, 'float32');
  const ceiling = comparison.ceilingFlopsPerSecond;
  if (ceiling === null) assert.match(stderr, /without the rate of matrix products alone, which needs oneDNN/);
  else assert.ok(ceiling > 0);
  const [own] = comparison.measurements; // others are there where TensorFlow is
  assert.equal(own?.arm, 'lockstep');
  assert.ok(own.hostSeconds > 0 && own.hostSeconds < own.medianSeconds);
  const kernels = own.kernels.map(({ name }) => name);
  for (const name of ['linear', 'attentionGradient', 'crossEntropy', 'adamW', 'sumOfSquares']) {
    assert.ok(kernels.includes(name), name);
  }
});
