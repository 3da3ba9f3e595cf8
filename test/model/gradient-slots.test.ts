// Gradients that kernels write straight to where they are wanted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { tinyBatch, tinyConfig, tinyModel, type TinyModel } from './tiny.js';

let engine: Engine;

before(async () => {
  engine = await loadEngine('native', { threads: 1 });
});
after(() => engine.setGradientSlots([]));

/** The whole gradient, and which parameters' gradients were handed out over memory of `slots`. */
function gradientOf({ model, parameters, layout }: TinyModel, slots: Float32Array): [Float32Array, string[]] {
  const gradient = new Float32Array(layout.trainable);
  const direct: string[] = [];
  const { trainable } = parameters;
  valueAndGradients(
    () => model.loss(tinyBatch(), { smoothing: 0.1, random: null }),
    trainable.map(({ tensor }) => tensor),
    (index, tensor) => {
      const { name, offset } = trainable[index]!.spec;
      const values = engine.values(tensor!);
      gradient.set(values, offset);
      if (values.buffer === slots.buffer) direct.push(name);
    },
  );
  return [gradient, direct];
}

for (const norm of ['post', 'pre'] as const) {
  test(`with slots every parameter's gradient, the tied embedding's too, lies in its slot, with the same bits (${norm})`, () => {
    const tiny = tinyModel(engine, tinyConfig({ norm }));
    const slots = new Float32Array(tiny.layout.trainable);
    engine.setGradientSlots([]);
    const [expected] = gradientOf(tiny, slots);
    // Twice, from what the first pass left: a pass must not add to the one before.
    for (let pass = 0; pass < 2; pass++) {
      engine.setGradientSlots(
        tiny.parameters.trainable.map(({ spec, tensor }) => [
          tensor,
          slots.subarray(spec.offset, spec.offset + spec.size),
        ]),
      );
      const [gradient, direct] = gradientOf(tiny, slots);
      assert.deepEqual(gradient, expected);
      assert.deepEqual(slots, expected);
      assert.equal(direct.length, tiny.parameters.trainable.length);
    }
    tiny.parameters.dispose();
  });
}
