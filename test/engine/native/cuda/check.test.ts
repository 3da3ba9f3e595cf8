// The program that holds the device's kernels against references in float64, without Node. On the emulation threads take turns in
// ascending order, and in a shuffled one. Inputs come from a seed, the order's number: run by hand the program takes fresh ones.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../../../src/util/package.js';
import { testLibrary } from './device.js';

const library = await testLibrary();
const program = `${packageRoot}build/lockstep-cuda-kernels`;

for (const order of ['0', '7'])
  test(`every kernel is exact, with threads in order ${order}`, async () => {
    const env = { ...process.env, LOCKSTEP_EMULATION_ORDER: order };
    const { stdout } = await promisify(execFile)(program, [library, order], { env });
    const verdicts = [...stdout.matchAll(/^(\w+) +(float32|bfloat16) .* (good|WRONG)$/gm)];
    assert.equal(verdicts.length, 16 + 11, stdout);
    assert.ok(
      verdicts.every(([, , , verdict]) => verdict === 'good'),
      stdout,
    );
  });

test('without a library the program says so', async () => {
  await assert.rejects(promisify(execFile)(program, ['/no/such/library.so']), {
    code: 2,
    stderr: /^error: .*no such file/i,
  });
});
