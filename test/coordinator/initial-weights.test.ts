// `initialise:` from another run and from Hugging Face models: the weights are those of test/golden, which Hugging Face's own
// classes made, written here as other writers lay them out: in another order, in one file or in several.
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseRunConfig } from '../../src/config/load.js';
import { initialWeights } from '../../src/coordinator/initial-weights.js';
import { openDataset } from '../../src/data/dataset.js';
import { loadEngine } from '../../src/engine/load.js';
import type { ModelConfig } from '../../src/model/config.js';
import { toHuggingFace } from '../../src/model/hugging-face.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { modelConfig, writeDataset, writeRun } from '../cli/model-run.js';
import { goldenConfig, goldenLogits, goldenParameters } from '../golden/golden.js';
import { batchTensors, difference, tinyModel } from '../model/tiny.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { userError } from '../support/user-error.js';

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The golden weights as Hugging Face saves them: by name, without positions, which its classes compute. */
function tensorsOf(config: ModelConfig): Tensor[] {
  const flat = goldenParameters(config);
  return parameterLayout(config)
    .tensors.filter(({ name }) => !name.endsWith('embed_positions.weight'))
    .map(({ name, shape, offset, size }) => ({ name, shape, values: flat.subarray(offset, offset + size) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A safetensors file by the format's definition: the header's length, the header as JSON, the data. */
function safetensors(tensors: readonly Tensor[]): Buffer {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, (end += values.byteLength)] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const data = tensors.map(({ values }) => Buffer.from(values.slice().buffer));
  return Buffer.concat([length, json, ...data]);
}

async function writeSharded(directory: string, tensors: readonly Tensor[], shards: number): Promise<void> {
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    const own = tensors.filter((_, i) => i % shards === shard);
    for (const { name } of own) weightMap[name] = file;
    await writeFile(path.join(directory, file), safetensors(own));
  }
  const index = JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap });
  await writeFile(path.join(directory, 'model.safetensors.index.json'), index);
}

const engine = await loadEngine('native', { threads: 1 });
const { batch, models } = goldenLogits();
const relu = models.filter(({ activation }) => activation === 'relu');

const golden = { directory: 'data', vocabularySize: 97, tokenizerFile: 'none' };

/** A Hugging Face model of the golden weights; `shards` files. */
async function huggingFace(t: TestContext, config: ModelConfig, shards: number): Promise<string> {
  const directory = await temporaryDirectory(t);
  // What the other's training dropped is its own affair.
  const json = { ...toHuggingFace({ ...config, dropout: 0.3 }), attention_dropout: 0.1 };
  await writeFile(path.join(directory, 'config.json'), JSON.stringify(json));
  const tensors = tensorsOf(config);
  if (shards === 1) await writeFile(path.join(directory, 'model.safetensors'), safetensors(tensors));
  else await writeSharded(directory, tensors, shards);
  return directory;
}

/** The weights that a run with `initialise: FROM` and a model of this shape begins with. */
async function begin(
  initialise: string,
  model: ModelConfig,
  dataset: Parameters<typeof initialWeights>[2] = golden,
): Promise<Float32Array> {
  const config = parseRunConfig({ name: 'test', data: 'data', initialise }, 'test');
  const layout = parameterLayout(model);
  const flat = new Float32Array(layout.total).fill(NaN);
  await initialWeights(config, model, dataset, layout, flat);
  return flat;
}

for (const { norm, activation, logits } of relu) {
  const kind = norm === 'post' ? 'Marian' : 'Pegasus';
  for (const shards of [1, 3]) {
    test(`a run that begins with a ${kind} model in ${shards} file(s) computes Hugging Face's logits`, async (t) => {
      const config = goldenConfig({ norm, activation });
      const flat = await begin(await huggingFace(t, config, shards), config);
      const { model } = tinyModel(engine, config, flat);
      const { source, sourceLengths, input } = batchTensors(batch);
      const memory = model.encode(source, sourceLengths, null);
      const ours = model.logits(model.decode(input, memory, sourceLengths, null));
      const largest = difference(ours.dataSync(), logits);
      assert.ok(largest < 1e-4, `differs by ${largest}`);
    });
  }
}

/** config.json of Helsinki-NLP's opus-mt models, with the golden weights' sizes and ids. */
function opusConfig({
  width,
  heads,
  feedForward,
  maxLength,
  vocabularySize,
  padId,
  endId,
  ...c
}: ModelConfig) {
  return {
    _num_labels: 3,
    activation_dropout: 0.0,
    activation_function: 'swish',
    add_bias_logits: false,
    add_final_layer_norm: false,
    architectures: ['MarianMTModel'],
    attention_dropout: 0.0,
    bad_words_ids: [[padId]],
    bos_token_id: 0,
    classif_dropout: 0.0,
    classifier_dropout: 0.0,
    d_model: width,
    decoder_attention_heads: heads,
    decoder_ffn_dim: feedForward,
    decoder_layerdrop: 0.0,
    decoder_layers: c.decoderLayers,
    decoder_start_token_id: padId,
    decoder_vocab_size: vocabularySize,
    dropout: 0.1,
    encoder_attention_heads: heads,
    encoder_ffn_dim: feedForward,
    encoder_layerdrop: 0.0,
    encoder_layers: c.encoderLayers,
    eos_token_id: endId,
    forced_eos_token_id: endId,
    gradient_checkpointing: false,
    id2label: { '0': 'LABEL_0', '1': 'LABEL_1', '2': 'LABEL_2' },
    init_std: 0.02,
    is_encoder_decoder: true,
    max_length: maxLength,
    max_position_embeddings: maxLength,
    model_type: 'marian',
    normalize_before: false,
    normalize_embedding: false,
    num_beams: 6,
    num_hidden_layers: c.encoderLayers,
    pad_token_id: padId,
    scale_embedding: true,
    share_encoder_decoder_embeddings: true,
    static_position_embeddings: true,
    use_cache: true,
    vocab_size: vocabularySize,
  };
}

test("a run begins with a model of opus-mt's shape, and adds the bias of its logits", async (t) => {
  const config = goldenConfig({ norm: 'post', activation: 'swish' });
  const from = await temporaryDirectory(t);
  const bias = Float32Array.from({ length: config.vocabularySize }, (_, id) => Math.sin(id));
  const tensors = tensorsOf(config).map((tensor) =>
    tensor.name === 'final_logits_bias' ? { ...tensor, values: bias } : tensor,
  );
  const shared = tensors.find(({ name }) => name === 'model.shared.weight')!;
  const positions = { shape: [config.maxLength, config.width], values: new Float32Array(24 * 32) };
  const repeated = ['model.encoder.embed_tokens', 'model.decoder.embed_tokens', 'lm_head'].map((name) => ({
    ...shared,
    name: `${name}.weight`,
  }));
  const stored = ['encoder', 'decoder'].map((stack) => ({
    ...positions,
    name: `model.${stack}.embed_positions.weight`,
  }));
  await writeFile(path.join(from, 'model.safetensors'), safetensors([...tensors, ...repeated, ...stored]));
  await writeFile(path.join(from, 'config.json'), JSON.stringify(opusConfig(config)));
  const { model } = tinyModel(engine, config, await begin(from, config));
  const { source, sourceLengths, input } = batchTensors(batch);
  const memory = model.encode(source, sourceLengths, null);
  const ours = model.logits(model.decode(input, memory, sourceLengths, null));
  const { logits } = models.find(({ norm, activation }) => norm === 'post' && activation === 'swish')!;
  const largest = difference(
    ours.dataSync(),
    logits.map((value, i) => value + bias[i % config.vocabularySize]!),
  );
  assert.ok(largest < 1e-4, `differs by ${largest}`);
});

test('the tokens of a vocab.json are held against those of the data, without naming a mask token', async (t) => {
  const root = await temporaryDirectory(t);
  const data = path.join(root, 'data');
  await writeDataset(data, 64);
  const dataset = await openDataset(data);
  t.after(() => dataset.close());
  const config: ModelConfig = { ...goldenConfig({ norm: 'post', activation: 'swish' }), vocabularySize: 259 };
  await writeFile(path.join(root, 'config.json'), JSON.stringify(opusConfig(config)));
  const layout = parameterLayout(config).tensors;
  const zeros = layout.map(({ name, shape, size }) => ({ name, shape, values: new Float32Array(size) }));
  await writeFile(path.join(root, 'model.safetensors'), safetensors(zeros));
  const vocabulary = path.join(root, 'vocab.json');
  const { model } = JSON.parse(await readFile(dataset.tokenizerFile, 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  await writeFile(vocabulary, JSON.stringify(model.vocab));
  assert.ok((await begin(root, config, dataset)).every((value) => value === 0));
  await writeFile(vocabulary, JSON.stringify({ ...model.vocab, a: model.vocab.b, b: model.vocab.a }));
  await assert.rejects(
    begin(root, config, dataset),
    userError('INITIALISE_MISMATCH', /token \d+ is "b" there, "a" in/),
  );
  await writeFile(vocabulary, '["a", "b"]');
  await assert.rejects(
    begin(root, config, dataset),
    userError('TOKENIZER_INVALID', /vocab\.json: expected an object/),
  );
  await writeFile(path.join(root, 'tokenizer.json'), unmasked(await readFile(dataset.tokenizerFile, 'utf8')));
  await assert.rejects(
    begin(root, config, dataset),
    userError('INITIALISE_MISMATCH', /token 2 is "<other>" there, "<mask>" in/),
  );
});

/** A tokenizer.json whose third token is no mask. */
const unmasked = (text: string): string => text.replaceAll('<mask>', '<other>');

test('every difference in shape is named, by the key that sets it and with both values', async (t) => {
  const theirs = goldenConfig({ norm: 'post', activation: 'relu' });
  const from = await huggingFace(t, theirs, 1);
  const ours: ModelConfig = { ...theirs, feedForward: 48, decoderLayers: 3, norm: 'pre' };
  const expected =
    /model\.feedForward is 64 there, 48 here; model\.decoderLayers is 2 there, 3 here; model\.norm is post there, pre here\. Set/;
  await assert.rejects(begin(from, ours), userError('INITIALISE_MISMATCH', expected));
  const dataset = { ...golden, vocabularySize: 98 };
  await assert.rejects(
    begin(from, theirs, dataset),
    userError('INITIALISE_MISMATCH', /the vocabulary has 97 tokens there, 98 in data\./),
  );
});

test('a tensor that is missing, too many or of another shape is named with its file', async (t) => {
  const config = goldenConfig({ norm: 'post', activation: 'relu' });
  const from = await huggingFace(t, config, 1);
  const tensors = tensorsOf(config);
  const write = (changed: readonly Tensor[]): Promise<void> =>
    writeFile(path.join(from, 'model.safetensors'), safetensors(changed));
  await write(tensors.filter(({ name }) => name !== 'model.encoder.layers.1.fc1.bias'));
  await assert.rejects(
    begin(from, config),
    userError('SAFETENSORS_TENSOR_MISSING', /has no tensor "model\.encoder\.layers\.1\.fc1\.bias"/),
  );
  await write([...tensors, { ...tensors[0]!, name: 'model.encoder.layers.2.fc1.bias' }]);
  await assert.rejects(
    begin(from, config),
    userError(
      'MODEL_MISMATCH',
      /model\.safetensors: the model of its config\.json has no tensor .*layers\.2/,
    ),
  );
  await write(
    tensors.map((tensor) =>
      tensor.name === 'model.decoder.layers.0.fc1.weight' ? { ...tensor, shape: [32, 64] } : tensor,
    ),
  );
  await assert.rejects(
    begin(from, config),
    userError(
      'MODEL_MISMATCH',
      /expected model\.decoder\.layers\.0\.fc1\.weight to be \[64, 32\], got \[32, 64\]/,
    ),
  );
});

test('a shard that the index names and that is not there is named, and so is pytorch_model.bin', async (t) => {
  const config = goldenConfig({ norm: 'pre', activation: 'relu' });
  const from = await huggingFace(t, config, 2);
  await rm(path.join(from, 'model-00002-of-00002.safetensors'));
  await assert.rejects(
    begin(from, config),
    userError('SAFETENSORS_MISSING', /cannot open .*model-00002-of-00002\.safetensors: ENOENT/),
  );
  const pickled = await temporaryDirectory(t);
  await writeFile(path.join(pickled, 'pytorch_model.bin'), '');
  await assert.rejects(begin(pickled, config), userError('MODEL_NOT_FOUND', /save the model as safetensors/));
});

test("a run begins with the very bits of another run's newest checkpoint, under the same tokenizer only", async (t) => {
  const root = await temporaryDirectory(t);
  const [data, run] = [path.join(root, 'data'), path.join(root, 'run')];
  await writeDataset(data, 64);
  const values = new Float32Array(parameterLayout(modelConfig).total).map((_, i) => Math.fround(Math.sin(i)));
  await writeRun(run, data, { kind: 'causal' }, values);
  const dataset = await openDataset(data);
  t.after(() => dataset.close());
  assert.deepEqual(await begin(run, { ...modelConfig, dropout: 0.5 }, dataset), values);

  const other = path.join(root, 'other');
  await mkdir(other);
  await cp(data, other, { recursive: true });
  const file = path.join(other, 'tokenizer.json');
  const tokenizer = JSON.parse(await readFile(file, 'utf8')) as { model: { vocab: Record<string, number> } };
  const { vocab } = tokenizer.model;
  [vocab['x'], vocab['y']] = [vocab['y']!, vocab['x']!];
  await writeFile(file, JSON.stringify(tokenizer));
  await assert.rejects(
    begin(run, modelConfig, { ...dataset, directory: other, tokenizerFile: file }),
    userError('INITIALISE_MISMATCH', /token \d+ is "x" there, "y" in .*other\. Set .*prepare --tokenizer/),
  );
});

test('a run that begins with a damaged model is refused, with the newest checkpoint that is whole', async (t) => {
  const root = await temporaryDirectory(t);
  const [data, run] = [path.join(root, 'data'), path.join(root, 'run')];
  await writeDataset(data, 64);
  const dataset = await openDataset(data);
  t.after(() => dataset.close());
  const [first, second] = [
    await writeRun(run, data, { kind: 'causal' }, new Float32Array(0), 3),
    await writeRun(run, data, { kind: 'causal' }, new Float32Array(0), 6),
  ];
  const tokenizer = path.join(second, 'tokenizer.json');
  const text = await readFile(tokenizer, 'utf8');
  for (const damaged of [text.replace('"x"', '"X"'), text.slice(1)]) {
    await writeFile(tokenizer, damaged);
    for (const from of [run, second]) {
      const named = new RegExp(`step-6 is not .*: tokenizer\\.json has .*that is whole is ${first}: name`);
      await assert.rejects(begin(from, modelConfig, dataset), userError('CHECKPOINT_BAD', named));
    }
  }
});

test('a bare word that is no run, but a folder, is answered with how the folder is named', async (t) => {
  const root = await temporaryDirectory(t);
  const before = process.cwd();
  process.chdir(root);
  t.after(() => process.chdir(before));
  const asked = (): Promise<unknown> => begin(path.resolve('runs', 'opus'), modelConfig);
  await assert.rejects(asked(), userError('MODEL_NOT_FOUND', /directory with model\.safetensors$/));
  await mkdir('opus');
  await assert.rejects(
    asked(),
    userError('MODEL_NOT_FOUND', /model\.safetensors; .* did you mean the folder \.\/opus\?$/),
  );
});
