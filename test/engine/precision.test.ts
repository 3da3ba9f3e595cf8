// bfloat16 products: where they are refused, and how far they take a model's gradient from float32's.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { loadEngine } from '../../src/engine/load.js';
import { loadAddon } from '../../src/engine/native/load.js';
import type { Precision } from '../../src/engine/names.js';
import { checkPrecision } from '../../src/engine/precision.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { tinyBatch, tinyConfig, tinyModel } from '../model/tiny.js';

const addon = loadAddon();
const info = addon.info();

after(async () => {
  addon.setIsa(info.isa);
  await loadEngine('native', { threads: 1 });
});

test('bfloat16 is refused with the reason and the way out where no instruction multiplies it', () => {
  const bfloat16 = { precision: 'bfloat16', emulate: false } as const;
  const refused = { code: 'PRECISION_UNSUPPORTED', message: /use precision: float32, or emulate: true/ };
  assert.throws(() => checkPrecision(bfloat16, { isa: 'avx512' }), refused);
  checkPrecision({ ...bfloat16, emulate: true }, { isa: 'avx2' });
  checkPrecision(bfloat16, { isa: 'avx512bf16' });
  checkPrecision(bfloat16, { isa: 'amx' });
  checkPrecision({ precision: 'float32', emulate: false }, { isa: 'sse2' });
});

test('several products for one are refused where there is no AMX, which alone is fast enough for them', () => {
  for (const precision of ['bfloat16x3', 'bfloat16x6'] as const) {
    const refused = {
      code: 'PRECISION_UNSUPPORTED',
      message: new RegExp(`precision: ${precision} .* has no AMX: use precision: float32`),
    };
    assert.throws(() => checkPrecision({ precision, emulate: false }, { isa: 'avx512bf16' }), refused);
    checkPrecision({ precision, emulate: true }, { isa: 'avx2' });
    checkPrecision({ precision, emulate: false }, { isa: 'amx' });
  }
});

test('where LOCKSTEP_ISA is the reason, it is named', (t) => {
  const before = process.env['LOCKSTEP_ISA'];
  t.after(() =>
    before === undefined ? delete process.env['LOCKSTEP_ISA'] : (process.env['LOCKSTEP_ISA'] = before),
  );
  process.env['LOCKSTEP_ISA'] = 'avx2';
  const bfloat16 = { precision: 'bfloat16', emulate: false } as const;
  assert.throws(() => checkPrecision(bfloat16, { isa: 'avx2' }), /LOCKSTEP_ISA=avx2 leaves/);
});

test('the fingerprint tells the precision, and how products are added', async () => {
  const fingerprintOf = async (precision: Precision, emulate: boolean) =>
    (await loadEngine('native', { threads: 1, precision, emulate })).fingerprint;
  const isa = info.isa === 'sse2' ? 'sse2' : 'fma';
  assert.deepEqual(await fingerprintOf('float32', true), { engine: 'native', matmul: 'float32', isa });
  if (info.isa === 'amx') assert.equal((await fingerprintOf('bfloat16', false)).isa, 'amx');
  for (const matmul of ['bfloat16', 'bfloat16x6'] as const)
    assert.deepEqual(await fingerprintOf(matmul, true), { engine: 'native', matmul, isa });
  // A process may compute for one run after the other.
  if (info.isa === 'amx') assert.equal((await fingerprintOf('bfloat16', false)).isa, 'amx');
});

test("a model's gradient differs from float32's, as much as its precision says", async () => {
  const gradientIn = async (precision: Precision): Promise<Float64Array> => {
    const engine = await loadEngine('native', { threads: 1, precision, emulate: true });
    const { model, parameters, layout } = tinyModel(engine, tinyConfig({ activation: 'gelu', width: 32 }));
    const gradient = new Float64Array(layout.trainable);
    valueAndGradients(
      () => model.loss(tinyBatch(), { smoothing: 0.1, random: null }),
      parameters.trainable.map(({ tensor }) => tensor),
      (index, tensor) => gradient.set(engine.values(tensor!), parameters.trainable[index]!.spec.offset),
    );
    parameters.dispose();
    return gradient;
  };
  const exact = await gradientIn('float32');
  const expected = { bfloat16: [1e-4, 0.02], bfloat16x3: [1e-7, 3e-5], bfloat16x6: [1e-8, 1e-6] } as const;
  for (const [precision, [least, most]] of Object.entries(expected)) {
    const rounded = await gradientIn(precision as Precision);
    const difference = Math.hypot(...rounded.map((value, i) => value - exact[i]!)) / Math.hypot(...exact);
    assert.ok(difference > least && difference < most, `${precision}: ${difference}`);
  }
});
