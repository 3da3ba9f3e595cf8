import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { ModelParameters, parameterLayout, type TensorViews } from '../../src/model/parameters.js';
import { tinyConfig } from './tiny.js';

const views: TensorViews = {
  view: (values, shape) => tf.tensor(values, [...shape]),
  refresh: () => undefined,
};

for (const norm of ['post', 'pre'] as const) {
  const layout = parameterLayout(tinyConfig({ norm }));

  test(`${norm}: tensors and views both cover the flat vector, in order and without gaps`, () => {
    for (const specs of [layout.tensors, layout.views]) {
      let offset = 0;
      for (const spec of specs) {
        assert.equal(spec.offset, offset, spec.name);
        assert.equal(
          spec.size,
          spec.shape.reduce((product, extent) => product * extent, 1),
          spec.name,
        );
        offset += spec.size;
      }
      assert.equal(offset, layout.total);
      assert.ok(
        specs.some((spec) => spec.offset === layout.trainable),
        'the constant part starts with a tensor',
      );
    }
    assert.equal(new Set(layout.tensors.map((spec) => spec.name)).size, layout.tensors.length);
    assert.equal(new Set(layout.views.map((spec) => spec.name)).size, layout.views.length);
  });

  test(`${norm}: q, k and v are the rows of one view, in this order`, () => {
    const prefix = 'model.decoder.layers.1.self_attn';
    for (const kind of ['weight', 'bias']) {
      const packed = layout.views.find((spec) => spec.name === `${prefix}.qkv_proj.${kind}`)!;
      let offset = packed.offset;
      for (const letter of ['q', 'k', 'v']) {
        const spec = layout.tensors.find((tensor) => tensor.name === `${prefix}.${letter}_proj.${kind}`)!;
        assert.equal(spec.offset, offset);
        offset += spec.size;
      }
      assert.equal(offset, packed.offset + packed.size);
    }
  });

  test(`${norm}: exactly the trained matrices decay`, () => {
    for (const spec of layout.tensors) {
      const matrix = spec.offset < layout.trainable && spec.shape.length === 2;
      assert.equal(spec.decay, matrix, spec.name);
    }
  });
}

test('only a pre-norm model has final norms and stored positions', () => {
  const names = (norm: 'post' | 'pre') =>
    new Set(parameterLayout(tinyConfig({ norm })).tensors.map((spec) => spec.name));
  const added = [...names('pre')].filter((name) => !names('post').has(name));
  assert.deepEqual(added.sort(), [
    'model.decoder.embed_positions.weight',
    'model.decoder.layer_norm.bias',
    'model.decoder.layer_norm.weight',
    'model.encoder.embed_positions.weight',
    'model.encoder.layer_norm.bias',
    'model.encoder.layer_norm.weight',
  ]);
});

test('a view holds its part of the flat vector, and the trainable ones stop where training does', () => {
  const layout = parameterLayout(tinyConfig());
  const flat = Float32Array.from({ length: layout.total }, (_, i) => i);
  const parameters = new ModelParameters(views, layout, flat);
  const spec = layout.views.find(({ name }) => name.endsWith('encoder_attn.kv_proj.weight'))!;
  const tensor = parameters.view(spec.name);
  assert.deepEqual(tensor.shape, [16, 8]);
  assert.deepEqual(tensor.dataSync(), flat.subarray(spec.offset, spec.offset + spec.size));
  const last = parameters.trainable.at(-1)!.spec;
  assert.equal(last.offset + last.size, layout.trainable);
  parameters.dispose();
  assert.ok(tensor.isDisposed);
});

test('a flat vector of another size is refused', () => {
  const layout = parameterLayout(tinyConfig());
  assert.throws(() => new ModelParameters(views, layout, new Float32Array(layout.total - 1)), /got/);
});
