// A model's config.json and generation_config.json as Hugging Face transformers reads them: MarianConfig for the
// post-norm model, PegasusConfig for the pre-norm one. Tensor names are those of parameters.ts; no conversion.

import { UserError } from '../util/errors.js';
import { isObject } from '../util/json.js';
import type { Activation, ModelConfig, NormPlacement } from './config.js';

const MODEL_TYPES = { post: 'marian', pre: 'pegasus' } as const;
const ARCHITECTURES = { post: 'MarianMTModel', pre: 'PegasusForConditionalGeneration' } as const;

/**
 * The content of config.json. Every setting on which the mathematics depends is written, also where it is
 * transformers' default today.
 */
export function toHuggingFace(config: ModelConfig): Record<string, unknown> {
  const shared = {
    architectures: [ARCHITECTURES[config.norm]],
    model_type: MODEL_TYPES[config.norm],
    dtype: 'float32',
    is_encoder_decoder: true,
    vocab_size: config.vocabularySize,
    max_position_embeddings: config.maxLength,
    d_model: config.width,
    encoder_layers: config.encoderLayers,
    encoder_attention_heads: config.heads,
    encoder_ffn_dim: config.feedForward,
    encoder_layerdrop: 0,
    decoder_layers: config.decoderLayers,
    decoder_attention_heads: config.heads,
    decoder_ffn_dim: config.feedForward,
    decoder_layerdrop: 0,
    num_hidden_layers: config.encoderLayers,
    activation_function: config.activation,
    dropout: config.dropout,
    attention_dropout: 0,
    activation_dropout: 0,
    scale_embedding: true,
    tie_word_embeddings: true,
    use_cache: true,
    pad_token_id: config.padId,
    eos_token_id: config.endId,
    decoder_start_token_id: config.startId,
    // Both classes would otherwise force an end token at the longest length, which our generation does not.
    forced_eos_token_id: null,
  };
  if (config.norm === 'pre') return shared;
  return {
    ...shared,
    decoder_vocab_size: config.vocabularySize,
    share_encoder_decoder_embeddings: true,
    static_position_embeddings: true,
  };
}

/** The content of generation_config.json: greedy, to the model's longest target, no token forced or forbidden. */
export function generationConfig(config: ModelConfig): Record<string, unknown> {
  return {
    max_length: config.maxLength,
    num_beams: 1,
    do_sample: false,
    pad_token_id: config.padId,
    eos_token_id: config.endId,
    decoder_start_token_id: config.startId,
  };
}

/** Far beyond any model that could be computed here: what is built for each layer or row must not be without bounds. */
const MOST = { vocabulary: 2 ** 31, width: 2 ** 24, layers: 4096, positions: 2 ** 24 } as const;

/**
 * The model that a config.json describes. `where` names it in errors: MODEL_CONFIG_INVALID where it is malformed,
 * MODEL_UNSUPPORTED where it describes a model that this program would compute differently.
 */
export function fromHuggingFace(json: unknown, where: string): ModelConfig {
  const fields = new Fields(json, where);
  const norm = normOf(fields);
  fields.require('is_encoder_decoder', true, true);
  fields.require('scale_embedding', true, false);
  fields.require('tie_word_embeddings', true, true);
  // Dropout of attention and activations, and of whole layers, is of the other's training: a model in use has none.
  if (norm === 'post') {
    fields.require('share_encoder_decoder_embeddings', true, true);
    fields.require('static_position_embeddings', true, true);
  }
  const vocabularySize = fields.integer('vocab_size', 1, MOST.vocabulary);
  fields.require('decoder_vocab_size', vocabularySize, vocabularySize);
  const width = fields.integer('d_model', 1, MOST.width);
  const heads = fields.integer('encoder_attention_heads', 1, MOST.width);
  fields.require('decoder_attention_heads', heads, undefined);
  if (width % heads !== 0) {
    fields.invalid(`d_model is ${width}, expected a multiple of encoder_attention_heads, ${heads}`);
  }
  const feedForward = fields.integer('encoder_ffn_dim', 1, MOST.width);
  fields.require('decoder_ffn_dim', feedForward, undefined);
  return {
    vocabularySize,
    width,
    heads,
    feedForward,
    encoderLayers: fields.integer('encoder_layers', 1, MOST.layers),
    decoderLayers: fields.integer('decoder_layers', 1, MOST.layers),
    maxLength: fields.integer('max_position_embeddings', 1, MOST.positions),
    dropout: fields.rate('dropout', 0.1),
    norm,
    activation: activationOf(fields),
    padId: fields.integer('pad_token_id', 0, vocabularySize - 1),
    endId: fields.integer('eos_token_id', 0, vocabularySize - 1),
    startId: fields.integer('decoder_start_token_id', 0, vocabularySize - 1),
  };
}

function normOf(fields: Fields): NormPlacement {
  const type = fields.get('model_type');
  if (type === MODEL_TYPES.post) return 'post';
  if (type === MODEL_TYPES.pre) return 'pre';
  return fields.unsupported('model_type', type, '"marian" or "pegasus"');
}

function activationOf(fields: Fields): Activation {
  const name = fields.get('activation_function');
  if (name === 'relu' || name === 'gelu' || name === 'swish') return name;
  if (name === 'silu') return 'swish';
  return fields.unsupported('activation_function', name, '"relu", "gelu", "swish" or "silu"');
}

/** Reads typed values from an unknown object; each method throws a UserError that names the file and the key. */
class Fields {
  private readonly object: Readonly<Record<string, unknown>>;

  constructor(
    json: unknown,
    private readonly where: string,
  ) {
    this.object = isObject(json) ? json : this.invalid(`expected an object, got ${shown(json)}`);
  }

  get(key: string): unknown {
    return this.object[key];
  }

  integer(key: string, smallest: number, largest = Number.MAX_SAFE_INTEGER): number {
    const value = this.object[key];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= smallest && value <= largest) {
      return value;
    }
    const range =
      largest === Number.MAX_SAFE_INTEGER ? `of at least ${smallest}` : `from ${smallest} to ${largest}`;
    return this.invalid(`${key} is ${shown(value)}, expected an integer ${range}`);
  }

  /** A probability below 1. */
  rate(key: string, otherwise: number): number {
    const value = this.object[key] ?? otherwise;
    if (typeof value === 'number' && value >= 0 && value < 1) return value;
    return this.invalid(`${key} is ${shown(value)}, expected a number in [0, 1)`);
  }

  /** Refuses a setting other than `expected`; one that is absent or null counts as `otherwise`. */
  require(key: string, expected: unknown, otherwise: unknown): void {
    const value = this.object[key] ?? otherwise;
    if (value !== expected) this.unsupported(key, value, shown(expected));
  }

  unsupported(key: string, value: unknown, expected: string): never {
    throw new UserError(
      'MODEL_UNSUPPORTED',
      `${this.where}: ${key} is ${shown(value)}; supported here is ${expected}`,
    );
  }

  invalid(sentence: string): never {
    throw new UserError('MODEL_CONFIG_INVALID', `${this.where}: ${sentence}`);
  }
}

function shown(value: unknown): string {
  return value === undefined ? 'not given' : JSON.stringify(value);
}
