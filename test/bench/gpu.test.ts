import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { QUICK } from '../../bench/support/step-workload.js';
import { jobOf } from '../../bench/support/training-step.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { packageRoot } from '../../src/util/package.js';
import { openTestDevice } from '../engine/native/cuda/device.js';

const { info } = await openTestDevice();
const MAIN = `${packageRoot}dist/bench/main.js`;
const FAKE_TORCH = `${packageRoot}dist/test/bench/fake-torch.js`;

interface Result {
  readonly comparisons: {
    readonly precision: string;
    readonly ceilingFlopsPerSecond: number;
    readonly measurements: { readonly arm: string; medianSeconds: number; waitShare: number | null }[];
  }[];
  readonly figures: { readonly name: string; measured: string; isReached: boolean | null }[];
}

test(`\`bench gpu\` measures each of its figures on ${info.name}`, { timeout: 120_000 }, async () => {
  await chmod(FAKE_TORCH, 0o755);
  const parameters = parameterLayout(jobOf(QUICK, 'bfloat16').model).trainable;
  const env = { ...process.env, FAKE_PARAMETERS: String(parameters) };
  const args = [MAIN, 'gpu', '--quick', '--json', '--python', FAKE_TORCH];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  const { comparisons, figures } = JSON.parse(stdout) as Result;
  const [comparison] = comparisons;
  assert.deepEqual([comparisons.length, comparison?.precision], [1, 'bfloat16']);
  assert.ok(comparison!.ceilingFlopsPerSecond > 0);
  const [own, eager, compiled] = comparison!.measurements;
  assert.deepEqual([eager?.medianSeconds, compiled?.medianSeconds], [0.5, 0.25]);
  assert.ok(own!.waitShare! > 0 && own!.waitShare! <= 1, `${own!.waitShare}`);

  const of = (word: RegExp) => figures.find(({ name }) => word.test(name))!;
  for (const word of [/float32$/, /bfloat16$/, /SHA-256/])
    assert.equal(of(word).isReached, true, of(word).measured);
  const times = (seconds: number): string => `${(seconds / own!.medianSeconds).toFixed(2)} times`;
  assert.equal(of(/torch compiled/).measured, times(0.25));
  assert.equal(of(/torch eager/).measured, times(0.5));
  for (const word of [/product rate/, /waited/]) assert.match(of(word).measured, /^[\d.]+ %$/);
});
