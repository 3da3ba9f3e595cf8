import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { lockstepOutput } from '../../bench/support/run-lockstep.js';
import type { Diagnosis } from '../../src/cli/diagnosis.js';
import { parseGpus } from '../../src/cli/machine.js';
import { precisions } from '../../src/engine/names.js';
import { isMadeFor } from '../../src/engine/precision.js';

const doctor = (...args: string[]): Promise<string> => lockstepOutput(['doctor', ...args]);

test('doctor measures matrix products on one thread and on all, and chooses the engine that it found usable', async () => {
  const { usable, cores, engines, chosen, advice } = JSON.parse(await doctor('--json')) as Diagnosis;
  const [native] = engines;
  assert.ok(usable && native?.info);
  for (const precision of precisions.filter((name) => isMadeFor(name, native.info!))) {
    const rates = native.productRates.filter((rate) => rate.precision === precision);
    assert.deepEqual(
      rates.map(({ threads }) => threads),
      cores === 1 ? [1] : [1, cores],
    );
  }
  for (const { flopsPerSecond } of native.productRates) assert.ok(flopsPerSecond > 1e8);
  const [one] = native.productRates.filter(({ precision }) => precision === 'float32');
  const [other] = native.productRates.filter(({ precision }) => precision === 'bfloat16');
  const gain = (other?.flopsPerSecond ?? 0) / one!.flopsPerSecond;
  const isAdvised = advice.some((line) => line.includes('precision: bfloat16'));
  if (gain > 2 || gain < 1) assert.equal(isAdvised, gain > 2); // between them the other measurement decides
  assert.deepEqual([chosen?.engine, chosen?.threads], ['native', cores]);
});

test('doctor says in words which matrix product, how fast, which GPU, and what is chosen', async () => {
  const text = await doctor();
  assert.match(text, /^GPU +\S/m);
  assert.match(text, /^matrix product +.*\d+ GFLOP\/s in float32 on 1 thread/m);
  assert.match(text, /^chosen +native, \d+ threads?: it is the (only )?engine/m);
});

test('an instruction set that nobody has is an error that names the known ones', async () => {
  const run = new LockstepProcess(['doctor'], { env: { LOCKSTEP_ISA: 'avx9' } });
  assert.equal(await run.exit(), 2, run.text());
  assert.match(run.text(), /error: LOCKSTEP_ISA: expected one of sse2, .*amx, got \W*avx9/);
});

test("GPUs are read from nvidia-smi's lines, and there are none in anything else it may say", () => {
  assert.deepEqual(parseGpus('NVIDIA H100 80GB HBM3, 550.54.15, 81559\nTesla T4, 535.1, [N/A]\n'), [
    { name: 'NVIDIA H100 80GB HBM3', driver: '550.54.15', memoryBytes: 81_559 * 2 ** 20 },
    { name: 'Tesla T4', driver: '535.1', memoryBytes: 0 },
  ]);
  assert.deepEqual(parseGpus('No devices were found\n'), []);
  assert.deepEqual(parseGpus(''), []);
});
