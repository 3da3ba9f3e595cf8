import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package.js';
import { openTestDevice } from '../engine/native/cuda/device.js';

const { info } = await openTestDevice();

test(`\`bench gpu\` measures a step on ${info.name} where there is no torch`, async () => {
  const args = [`${packageRoot}dist/bench/main.js`, 'gpu', '--quick', '--json', '--no-torch'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { comparisons } = JSON.parse(stdout) as {
    comparisons: {
      precision: string;
      ceilingFlopsPerSecond: number;
      measurements: { medianSeconds: number }[];
    }[];
  };
  assert.deepEqual([comparisons.length, comparisons[0]!.precision], [1, 'bfloat16']);
  assert.ok(comparisons[0]!.ceilingFlopsPerSecond > 0);
  assert.ok(comparisons[0]!.measurements[0]!.medianSeconds > 0);
});
