import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package.js';

interface Result {
  memoryCopy: number[];
  measurements: { receivers: number; encrypted: boolean; reducers: number[]; sockets: number[] }[];
}

test('`bench incast` measures 1, 2 and 4 reducers without and with keys, beside bare sockets', async () => {
  const small = ['--elements', '1048576', '--clients', '2', '--seconds', '0.1', '--rounds', '1', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, [
    `${packageRoot}dist/bench/main.js`,
    'incast',
    ...small,
  ]);
  const { memoryCopy, measurements } = JSON.parse(stdout) as Result;
  assert.deepEqual(
    measurements.map(({ receivers, encrypted }) => [receivers, encrypted]),
    [false, true].flatMap((encrypted) => [1, 2, 4].map((receivers) => [receivers, encrypted])),
  );
  const rates = measurements.flatMap(({ reducers, sockets }) => [...reducers, ...sockets]);
  assert.equal(rates.length, 12);
  for (const rate of [...memoryCopy, ...rates]) assert.ok(rate > 1e6, `${rate} bytes a second`);
});
