import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import type { Dropout } from '../../src/engine/kernels.js';
import type { Batch } from '../../src/model/batch.js';
import { DropoutSites } from '../../src/model/dropout.js';
import { UserError } from '../../src/util/errors.js';
import { RandomSite } from '../../src/util/philox.js';
import { batchTensors, difference, tinyBatch, tinyConfig, tinyModel, type TinyModel } from './tiny.js';

const engine = await loadEngine('native', { threads: 1 });
const batch = tinyBatch();
const random = { seed: 11, step: 3, microBatch: 2 };

// Every test disposes what it made; the functions under test must have disposed the rest.
const tensorsBefore = tf.memory().numTensors;
after(() => assert.equal(tf.memory().numTensors, tensorsBefore, 'no test leaves a tensor behind'));

/** Runs `body` with a tiny model of each norm placement, and frees everything. */
function withModels(changes: Parameters<typeof tinyConfig>[0], body: (tiny: TinyModel) => void): void {
  for (const norm of ['post', 'pre'] as const) {
    tf.tidy(() => {
      const tiny = tinyModel(engine, tinyConfig({ norm, ...changes }));
      body(tiny);
      tiny.model.dispose();
      tiny.parameters.dispose();
    });
  }
}

function lossOf(
  tiny: TinyModel,
  of: Batch,
  options: { smoothing?: number; dropout?: typeof random } = {},
): number {
  const { smoothing = 0, dropout = null } = options;
  return tf.tidy(() => tiny.model.loss(of, { smoothing, random: dropout }).loss.dataSync()[0]!);
}

/** The gradient of the summed loss, as a flat vector. */
function gradientOf(tiny: TinyModel, of: Batch): Float32Array {
  const flat = new Float32Array(tiny.layout.trainable);
  const { trainable } = tiny.parameters;
  valueAndGradients(
    () => tiny.model.loss(of, { smoothing: 0.1, random: null }),
    trainable.map(({ tensor }) => tensor),
    (index, gradient) => {
      if (gradient) flat.set(gradient.dataSync(), trainable[index]!.spec.offset);
    },
  );
  return flat;
}

test('decoding position by position with the cache gives the states of decoding at once', () => {
  withModels({ decoderLayers: 3 }, ({ model, config }) => {
    const { source, sourceLengths, input } = batchTensors(batch);
    const memory = model.encode(source, sourceLengths, null);
    const whole = model.decode(input, memory, sourceLengths, null);
    const cache = model.startCache(memory, sourceLengths);
    for (let position = 0; position < batch.targetLength; position++) {
      const tokens = tf.slice(input, [0, position], [batch.samples, 1]);
      const step = model.decodeStep(tokens, cache);
      assert.deepEqual(step.shape, [batch.samples, 1, config.width]);
      const expected = tf.slice(whole, [0, position, 0], [batch.samples, 1, config.width]);
      const largest = difference(step.dataSync(), expected.dataSync());
      assert.ok(largest < 1e-5, `position ${position} differs by ${largest}`);
    }
    cache.dispose();
  });
});

test('a reordered cache goes on from the rows that it was given, whatever their number', () => {
  withModels({}, ({ model, config }) => {
    const { source, sourceLengths } = batchTensors(batch);
    const memory = model.encode(source, sourceLengths, null);
    // Three hypotheses: two of sample 1, one of sample 0. Their inputs, row by row, after each reordering.
    const cache = model.startCache(memory, sourceLengths);
    const column = (values: number[]) => tf.tensor2d(values, [values.length, 1], 'int32');
    model.decodeStep(column([0, 0]), cache);
    cache.reorder([1, 1, 0]);
    assert.equal(cache.rows, 3);
    model.decodeStep(column([5, 6, 7]), cache);
    cache.reorder(Int32Array.of(1, 0, 2)); // the sources stay: only the decoder's part moves
    const last = model.decodeStep(column([8, 9, 10]), cache);
    cache.dispose();

    const inputs = tf.tensor2d([0, 6, 8, 0, 5, 9, 0, 7, 10], [3, 3], 'int32');
    const samples = tf.tensor1d([1, 1, 0], 'int32');
    const whole = model.decode(inputs, tf.gather(memory, samples), tf.gather(sourceLengths, samples), null);
    const expected = tf.slice(whole, [0, 2, 0], [3, 1, config.width]);
    const largest = difference(last.dataSync(), expected.dataSync());
    assert.ok(largest < 1e-5, `differs by ${largest}`);
  });
});

test('rows that exchange their sources take the sources along', () => {
  withModels({}, ({ model }) => {
    const { source, sourceLengths } = batchTensors(batch);
    const memory = model.encode(source, sourceLengths, null);
    const starts = tf.tensor2d([0, 0], [2, 1], 'int32');
    const cache = model.startCache(memory, sourceLengths);
    cache.reorder([1, 0]);
    const exchanged = model.decodeStep(starts, cache);
    cache.dispose();
    const plain = model.startCache(memory, sourceLengths);
    const expected = tf.reverse(model.decodeStep(starts, plain), 0);
    plain.dispose();
    assert.deepEqual(exchanged.dataSync(), expected.dataSync());
  });
});

test('what stands in the padding changes neither the loss nor any gradient, in no bit', () => {
  withModels({ startId: 2 }, (tiny) => {
    const source = batch.source.slice();
    source.set([19, 3], 8); // beyond the second source's length
    const decoderInput = batch.decoderInput.slice();
    decoderInput[3] = 21; // beyond the first target's
    const other = { ...batch, source, decoderInput };
    assert.equal(lossOf(tiny, other), lossOf(tiny, batch));
    assert.deepEqual(gradientOf(tiny, other), gradientOf(tiny, batch));
  });
});

test('a sample has the loss in a batch that it has alone', () => {
  withModels({}, (tiny) => {
    const alone: Batch[] = [
      {
        ...{ samples: 1, sourceLength: 5, targetLength: 3 },
        source: batch.source.slice(0, 5),
        sourceLengths: Int32Array.of(5),
        decoderInput: batch.decoderInput.slice(0, 3),
        targetLengths: Int32Array.of(3),
        lossRows: Int32Array.of(0, 1, 2),
        labels: batch.labels.slice(0, 3),
      },
      {
        ...{ samples: 1, sourceLength: 3, targetLength: 4 },
        source: batch.source.slice(5, 8),
        sourceLengths: Int32Array.of(3),
        decoderInput: batch.decoderInput.slice(4),
        targetLengths: Int32Array.of(4),
        lossRows: Int32Array.of(1, 3),
        labels: batch.labels.slice(3),
      },
    ];
    const sum = lossOf(tiny, alone[0]!) + lossOf(tiny, alone[1]!);
    assert.ok(Math.abs(sum - lossOf(tiny, batch)) < 1e-4);
  });
});

test('a later target token changes no earlier state', () => {
  withModels({}, ({ model, config }) => {
    const { source, sourceLengths, input } = batchTensors(batch);
    const changed = tf.tensor2d(
      batch.decoderInput.map((id, i) => (i % 4 === 3 ? 14 : id)),
      [2, 4],
      'int32',
    );
    const memory = model.encode(source, sourceLengths, null);
    const early = (ids: tf.Tensor2D) =>
      tf.slice(model.decode(ids, memory, sourceLengths, null), [0, 0, 0], [2, 3, config.width]).dataSync();
    assert.deepEqual(early(changed), early(input));
  });
});

test('every gradient is the slope of the loss, the tied embeddings included', () => {
  // A start token of its own: the padding row's look-ups are withheld, which is no slope.
  withModels({ startId: 2, activation: 'gelu' }, (tiny) => {
    const started = { ...batch, decoderInput: batch.decoderInput.map((id, i) => (i % 4 === 0 ? 2 : id)) };
    const gradient = gradientOf(tiny, started);
    const at = (index: number, value: number) => {
      tiny.flat[index] = value;
      return lossOf(tiny, started, { smoothing: 0.1 });
    };
    for (const spec of tiny.layout.tensors) {
      if (spec.offset >= tiny.layout.trainable) continue;
      const index = spec.offset + Math.floor(spec.size * 0.6);
      const before = tiny.flat[index]!;
      const slope = (at(index, before + 0.01) - at(index, before - 0.01)) / 0.02;
      tiny.flat[index] = before;
      const error = Math.abs(slope - gradient[index]!);
      assert.ok(error < 0.01 + 0.02 * Math.abs(slope), `${spec.name}: ${gradient[index]}, slope ${slope}`);
    }
  });
});

test('the tied table gets the gradients of encoder, decoder and output, the unused rows that of the output', () => {
  withModels({ startId: 2 }, (tiny) => {
    const gradient = gradientOf(tiny, batch);
    const { width, vocabularySize } = tiny.config;
    const rows = Array.from({ length: vocabularySize }, (_, id) =>
      gradient.subarray(id * width, (id + 1) * width).reduce((sum, value) => sum + Math.abs(value), 0),
    );
    assert.ok(rows.every((size) => size > 0));
    const unused = Math.max(rows[2]!, rows[3]!, rows[21]!); // never looked up: only smoothing and softmax reach them
    for (const id of [20, 11, 17])
      assert.ok(rows[id]! > unused, `row ${id} is looked up: ${rows[id]}, ${unused}`);
  });
});

test('the padding token as start token gets no gradient from its look-ups', () => {
  withModels({}, (tiny) => {
    const other = tinyModel(engine, { ...tiny.config, padId: 21, startId: 0 }, tiny.flat);
    const { width } = tiny.config;
    const [withheld, full] = [gradientOf(tiny, batch), gradientOf(other, batch)];
    assert.ok(difference(withheld.subarray(0, width), full.subarray(0, width)) > 1e-3);
    assert.deepEqual(withheld.subarray(width), full.subarray(width));
    other.model.dispose();
    other.parameters.dispose();
  });
});

test('dropout depends on every part of its key, repeats with it, and is absent in evaluation', () => {
  withModels({ dropout: 0.3 }, (tiny) => {
    const dropped = lossOf(tiny, batch, { dropout: random });
    assert.equal(lossOf(tiny, batch, { dropout: random }), dropped);
    for (const part of ['seed', 'step', 'microBatch'] as const) {
      const other = { ...random, [part]: random[part] + 1 };
      assert.notEqual(lossOf(tiny, batch, { dropout: other }), dropped, part);
    }
    const plain = tinyModel(engine, { ...tiny.config, dropout: 0 }, tiny.flat);
    assert.equal(lossOf(tiny, batch), lossOf(plain, batch));
    assert.equal(lossOf(plain, batch, { dropout: random }), lossOf(plain, batch));
    assert.notEqual(dropped, lossOf(tiny, batch));
    plain.model.dispose();
    plain.parameters.dispose();
  });
});

test('no two dropouts of a forward share a site, in the encoder and the decoder', (context) => {
  const drawn: number[] = [];
  const next = Object.getOwnPropertyDescriptor(DropoutSites.prototype, 'next')!.value as () => Dropout;
  context.mock.method(DropoutSites.prototype, 'next', function (this: DropoutSites) {
    const dropout = next.call(this);
    drawn.push(dropout!.site);
    return dropout;
  });
  withModels({ dropout: 0.3, encoderLayers: 3 }, (tiny) => {
    drawn.length = 0;
    lossOf(tiny, batch, { dropout: random });
    const count = 1 + 2 * 3 + 1 + 3 * 2; // embeddings and sub-layers of each
    const expected = Array.from({ length: count }, (_, i) => RandomSite.dropout + i);
    assert.deepEqual(drawn, expected);
  });
});

test('a sequence longer than the model takes is a fault of the user', () => {
  withModels({ maxLength: 4 }, (tiny) => {
    assert.throws(
      () => lossOf(tiny, batch),
      (error) => error instanceof UserError && error.code === 'SEQUENCE_TOO_LONG',
    );
  });
});
