import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import type { Batch } from '../../src/model/batch.js';
import { adamWSpec } from '../../src/optim/adamw.js';
import { clipScale } from '../../src/optim/clip.js';
import { learningRate } from '../../src/optim/schedule.js';
import { goldenConfig, goldenParameters, goldenTraining } from '../golden/golden.js';
import { tinyModel, type TinyModel } from './tiny.js';

const engine = await loadEngine('native', { threads: 1 });
const { optimizer, smoothing, batches, runs } = goldenTraining();

/** The summed loss of a batch; its gradient is written to `flat`. */
function backward(tiny: TinyModel, batch: Batch, flat: Float32Array): number {
  const { trainable } = tiny.parameters;
  flat.fill(0);
  const { loss } = valueAndGradients(
    () => tiny.model.loss(batch, { smoothing, random: null }),
    trainable.map(({ tensor }) => tensor),
    (index, gradient) => {
      if (gradient) flat.set(gradient.dataSync(), trainable[index]!.spec.offset);
    },
  );
  return loss;
}

for (const { norm, activation, steps } of runs) {
  test(`${norm} with ${activation}: ${steps.length} steps of AdamW have PyTorch's losses within 1e-4`, () => {
    const config = goldenConfig({ norm, activation });
    const tiny = tinyModel(engine, config, goldenParameters(config));
    const { layout, flat } = tiny;
    const [gradient, moment1, moment2] = [0, 0, 0].map(() => new Float32Array(layout.trainable)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    steps.forEach((expected, index) => {
      const batch = batches[index % batches.length]!;
      const tokens = batch.lossRows.length;
      const loss = backward(tiny, batch, gradient) / tokens;
      const gradientNorm = Math.sqrt(engine.addon.sumOfSquares(gradient, gradient.length)) / tokens;
      const terms = {
        update: index + 1,
        learningRate: learningRate(index + 1, optimizer, steps.length),
        gradientScale: clipScale(gradientNorm, optimizer.clipNorm) / tokens,
      };
      for (const { offset, size, decay } of layout.tensors) {
        if (offset >= layout.trainable) continue;
        const part = (values: Float32Array) => values.subarray(offset, offset + size);
        const undecayed = Int32Array.from(decay ? [] : [0, size]);
        const spec = adamWSpec(terms, optimizer);
        engine.addon.adamW(
          ...([part(flat), part(moment1), part(moment2), part(gradient)] as const),
          ...([size, undecayed, spec] as const),
        );
      }
      const relative = (actual: number, golden: number) => Math.abs(actual / golden - 1);
      assert.ok(
        relative(loss, expected.loss) < 1e-4,
        `step ${index + 1}: loss ${loss}, PyTorch's ${expected.loss}`,
      );
      assert.ok(
        relative(gradientNorm, expected.gradientNorm) < 1e-3,
        `step ${index + 1}: norm ${gradientNorm}, PyTorch's ${expected.gradientNorm}`,
      );
    });
  });
}
