// bfloat16 products: where they are refused, and how far they take a model's gradient from float32's.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { loadEngine } from '../../src/engine/engine.js';
import { loadAddon } from '../../src/engine/native/load.js';
import { productPrecision } from '../../src/engine/precision.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { tinyBatch, tinyConfig, tinyModel } from '../model/tiny.js';

const info = loadAddon().info();

after(() => loadEngine('native', { threads: 1 }));

test('bfloat16 is refused with the reason and the way out where nothing multiplies it', () => {
  const bfloat16 = { precision: 'bfloat16', emulate: false } as const;
  const without = { ...info, bfloat16: false };
  const refused = { code: 'PRECISION_UNSUPPORTED', message: /use precision: float32, or emulate: true/ };
  assert.throws(() => productPrecision(bfloat16, { ...without, matmul: 'onednn' }), refused);
  assert.throws(() => productPrecision(bfloat16, { ...without, matmul: 'portable' }), /has no oneDNN/);
  assert.equal(productPrecision({ ...bfloat16, emulate: true }, without), 'emulated');
  assert.equal(productPrecision({ ...bfloat16, emulate: true }, { ...info, bfloat16: true }), 'bfloat16');
  assert.equal(productPrecision({ precision: 'float32', emulate: false }, without), 'float32');
});

test('the fingerprint tells bfloat16 and its emulation from float32', async () => {
  const float32 = (await loadEngine('native', { threads: 1 })).fingerprint;
  const other = (await loadEngine('native', { threads: 1, precision: 'bfloat16', emulate: true }))
    .fingerprint;
  assert.equal(other.matmul, `${float32.matmul} ${info.bfloat16 ? 'bfloat16' : 'emulated'}`);
});

test("a model's gradient in bfloat16 differs from float32's, by less than 2 % of its norm", async () => {
  const gradientIn = async (precision: 'float32' | 'bfloat16'): Promise<Float64Array> => {
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
  const rounded = await gradientIn('bfloat16');
  const difference = Math.hypot(...rounded.map((value, i) => value - exact[i]!)) / Math.hypot(...exact);
  assert.ok(difference > 1e-4 && difference < 0.02, `${difference}`);
});
