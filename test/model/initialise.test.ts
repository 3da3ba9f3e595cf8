import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initialParameters } from '../../src/model/initialise.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { tinyConfig } from './tiny.js';

const config = tinyConfig({ norm: 'pre', vocabularySize: 500, width: 64, feedForward: 96, padId: 3 });
const layout = parameterLayout(config);

function initial(seed: number): Float32Array {
  const out = new Float32Array(layout.total);
  initialParameters(layout, config, seed, out);
  return out;
}

const flat = initial(7);

function tensor(name: string): Float32Array {
  const { offset, size } = layout.tensors.find((spec) => spec.name === name)!;
  return flat.subarray(offset, offset + size);
}

function moments(values: Float32Array) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), largest: Math.max(...values.map(Math.abs)) };
}

test('embeddings are normal with variance 1/d, but for the padding row, which is zero', () => {
  const table = tensor('model.shared.weight');
  assert.ok(table.subarray(3 * 64, 4 * 64).every((value) => value === 0));
  const drawn = Float32Array.from([...table.subarray(0, 3 * 64), ...table.subarray(4 * 64)]);
  const { mean, deviation, largest } = moments(drawn);
  assert.ok(Math.abs(mean) < 0.003, `mean ${mean}`);
  assert.ok(Math.abs(deviation * 8 - 1) < 0.02, `deviation ${deviation}`);
  assert.ok(largest * 8 > 3.3 && largest * 8 < 6, `largest ${largest}`);
  const within = drawn.filter((value) => Math.abs(value) * 8 < 1).length / drawn.length;
  assert.ok(Math.abs(within - 0.6827) < 0.01, `${within} within one deviation`);
});

test('each of q, k and v is uniform within the bound of its own shape, not of the packed one', () => {
  for (const letter of ['q', 'k', 'v']) {
    const bound = Math.sqrt(6 / (64 + 64));
    const { deviation, largest, mean } = moments(
      tensor(`model.encoder.layers.0.self_attn.${letter}_proj.weight`),
    );
    assert.ok(largest <= bound && largest > 0.99 * bound, `largest ${largest}`);
    assert.ok(Math.abs((deviation * Math.sqrt(3)) / bound - 1) < 0.03, `deviation ${deviation}`);
    assert.ok(Math.abs(mean) < 0.01, `mean ${mean}`);
  }
});

test('biases are 0, gains 1, and the constant part is what Hugging Face computes', () => {
  for (const { name } of layout.tensors) {
    if (name.endsWith('bias'))
      assert.ok(
        tensor(name).every((value) => value === 0),
        name,
      );
    if (name.endsWith('norm.weight'))
      assert.ok(
        tensor(name).every((value) => value === 1),
        name,
      );
  }
  const positions = tensor('model.decoder.embed_positions.weight');
  const at = (position: number, column: number) => positions[position * 64 + column];
  assert.equal(at(0, 0), 0);
  assert.equal(at(0, 32), 1);
  assert.equal(at(3, 0), Math.fround(Math.sin(3)));
  assert.equal(at(3, 32 + 5), Math.fround(Math.cos(3 / 10000 ** (10 / 64))));
});

test('another seed gives other weights, also one that differs only above 32 bits', () => {
  for (const seed of [8, 7 + 2 ** 32]) {
    const other = initial(seed);
    const same = other.subarray(0, 1000).filter((value, i) => value === flat[i] && value !== 0).length;
    assert.ok(same < 5, `seed ${seed}: ${same} of 1000 are equal`);
  }
});
