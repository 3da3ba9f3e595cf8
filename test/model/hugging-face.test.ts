import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../../src/engine/load.js';
import { fromHuggingFace, generationConfig, toHuggingFace } from '../../src/model/hugging-face.js';
import { UserError } from '../../src/util/errors.js';
import { goldenConfig, goldenLogits, goldenParameters } from '../golden/golden.js';
import { batchTensors, difference, tinyConfig, tinyModel } from './tiny.js';

const engine = await loadEngine('native', { threads: 1 });
const { batch, models } = goldenLogits();

for (const { norm, activation, logits } of models) {
  test(`${norm} with ${activation}: logits are those of Hugging Face within 1e-4, padding included`, () => {
    const config = goldenConfig({ norm, activation });
    const { model } = tinyModel(engine, config, goldenParameters(config));
    const { source, sourceLengths, input } = batchTensors(batch);
    const memory = model.encode(source, sourceLengths, null);
    const ours = model.logits(model.decode(input, memory, sourceLengths, null));
    assert.deepEqual(ours.shape, [batch.samples, batch.targetLength, config.vocabularySize]);
    const largest = difference(ours.dataSync(), logits);
    assert.ok(largest < 1e-4, `differs by ${largest}`);
  });
}

test('a config comes back from config.json as it was', () => {
  for (const norm of ['post', 'pre'] as const) {
    for (const activation of ['relu', 'gelu', 'swish'] as const) {
      const config = tinyConfig({ norm, activation, dropout: 0.25, padId: 2, startId: 3, decoderLayers: 5 });
      const json: unknown = JSON.parse(JSON.stringify(toHuggingFace(config)));
      assert.deepEqual(fromHuggingFace(json, 'config.json'), config);
    }
  }
});

test('generation_config.json forces and forbids no token', () => {
  const keys = Object.keys(generationConfig(tinyConfig()));
  assert.deepEqual(
    keys.filter((key) => /forced|bad_words|suppress/.test(key)),
    [],
  );
});

function refuse(
  changes: Record<string, unknown>,
  code: string,
  sentence: RegExp,
  norm: 'post' | 'pre' = 'post',
) {
  const json = { ...toHuggingFace(tinyConfig({ norm })), ...changes };
  assert.throws(
    () => fromHuggingFace(json, 'a/config.json'),
    (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, code);
      assert.match(error.message, /^a\/config\.json: /);
      assert.match(error.message, sentence);
      return true;
    },
  );
}

test('what only the training of another writer drops is no reason to refuse its model', () => {
  const config = tinyConfig({ norm: 'pre' });
  const trained = {
    attention_dropout: 0.1,
    activation_dropout: 0.1,
    encoder_layerdrop: 0.1,
    decoder_layerdrop: 0.1,
  };
  assert.deepEqual(fromHuggingFace({ ...toHuggingFace(config), ...trained }, 'config.json'), config);
});

test('a model that would be computed differently is refused, naming the setting', () => {
  const unsupported: [Record<string, unknown>, RegExp][] = [
    [{ model_type: 't5' }, /model_type is "t5"; supported here is "marian" or "pegasus"/],
    [
      { activation_function: 'gelu_new' },
      /activation_function is "gelu_new"; supported here is "relu", "gelu", "swish" or "silu"/,
    ],
    [{ decoder_attention_heads: 4 }, /decoder_attention_heads is 4; supported here is 2/],
    [{ decoder_ffn_dim: 13 }, /decoder_ffn_dim is 13; supported here is 12/],
    [{ scale_embedding: undefined }, /scale_embedding is false/],
    [{ tie_word_embeddings: false }, /tie_word_embeddings/],
    [{ share_encoder_decoder_embeddings: false }, /share_encoder_decoder_embeddings/],
    [{ decoder_vocab_size: 24 }, /decoder_vocab_size is 24; supported here is 23/],
    [{ static_position_embeddings: false }, /static_position_embeddings/],
  ];
  for (const [changes, sentence] of unsupported) refuse(changes, 'MODEL_UNSUPPORTED', sentence);
});

test('a malformed config is refused, naming the key and what was expected', () => {
  const invalid: [Record<string, unknown>, RegExp][] = [
    [{ d_model: '8' }, /d_model is "8", expected an integer from 1 to \d+/],
    [{ d_model: 9 }, /d_model is 9, expected a multiple of encoder_attention_heads, 2/],
    [{ encoder_layers: 0 }, /encoder_layers is 0/],
    [{ pad_token_id: 23 }, /pad_token_id is 23, expected an integer from 0 to 22/],
    [{ eos_token_id: [1, 2] }, /eos_token_id is \[1,2\]/],
    [{ dropout: 1 }, /dropout is 1, expected a number in \[0, 1\)/],
    [{ vocab_size: undefined }, /vocab_size is not given/],
  ];
  for (const [changes, sentence] of invalid) {
    refuse(changes, 'MODEL_CONFIG_INVALID', sentence, 'pre');
  }
  assert.throws(() => fromHuggingFace([], 'x'), /x: expected an object, got \[\]/);
});

test('silu is another name of swish, which is the one that is written', () => {
  const config = tinyConfig({ activation: 'swish' });
  const json = toHuggingFace(config);
  assert.equal(json.activation_function, 'swish');
  assert.deepEqual(fromHuggingFace({ ...json, activation_function: 'silu' }, 'config.json'), config);
});

test('what Hugging Face leaves out because it is its default is understood', () => {
  const json = toHuggingFace(tinyConfig());
  for (const key of [
    'tie_word_embeddings',
    'decoder_vocab_size',
    'attention_dropout',
    'is_encoder_decoder',
  ]) {
    delete json[key];
  }
  assert.deepEqual(fromHuggingFace(json, 'config.json'), tinyConfig());
});
