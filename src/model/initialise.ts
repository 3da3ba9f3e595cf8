// A new model's parameters. Each element is a pure function of the seed and its offset in the flat vector.
import { assert } from '../util/errors.js';
import { RandomField, RandomSite } from '../util/philox.js';
import type { ModelConfig } from './config.js';
import { FINAL_BIAS, SHARED_EMBEDDING, type ParameterLayout, type TensorSpec } from './parameters.js';
import { sinusoidalPositions } from './positions.js';

/** The value of the element at `offset` of the flat vector. */
type Filler = (offset: number) => number;

/**
 * Writes the initial value of every parameter to `out` (`layout.total` elements):
 *
 * - embeddings from N(0, 1/d), so that times √d they enter with unit variance and leave, as the tied output
 *   product, as logits of unit variance. The padding row is zero, as Hugging Face initialises it: Marian's decoder
 *   starts from that token, which then embeds as nothing but its position;
 * - matrices from Xavier's uniform distribution (Glorot & Bengio 2010), q, k and v each on its own;
 * - biases 0, norms' gains 1; `final_logits_bias` 0 and the positions, which are never trained.
 */
export function initialParameters(
  layout: ParameterLayout,
  config: ModelConfig,
  seed: number,
  out: Float32Array,
): void {
  assert(out.length === layout.total, `room for ${layout.total} parameters, got ${out.length}`);
  const field = new RandomField({ seed, step: 0, microBatch: 0, site: RandomSite.initialise });
  for (const spec of layout.tensors) {
    const fill = fillerOf(spec, config, field);
    for (let offset = spec.offset; offset < spec.offset + spec.size; offset++) out[offset] = fill(offset);
  }
}

function fillerOf(spec: TensorSpec, config: ModelConfig, field: RandomField): Filler {
  const { name } = spec;
  if (name === SHARED_EMBEDDING) return embeddingFiller(spec, config, field);
  if (name === FINAL_BIAS) return () => 0;
  if (name.endsWith('.embed_positions.weight')) {
    const positions = sinusoidalPositions(config.maxLength, config.width);
    return (offset) => positions[offset - spec.offset]!;
  }
  if (name.endsWith('.bias')) return () => 0;
  if (name.endsWith('norm.weight')) return () => 1;
  return xavierFiller(spec, field);
}

function embeddingFiller(spec: TensorSpec, config: ModelConfig, field: RandomField): Filler {
  const deviation = 1 / Math.sqrt(config.width);
  const paddingFrom = spec.offset + config.padId * config.width;
  const paddingTo = paddingFrom + config.width;
  return (offset) =>
    offset >= paddingFrom && offset < paddingTo ? 0 : deviation * standardNormal(field, offset);
}

/** Uniform in ±√(6 / (in + out)), for a matrix [out, in]. */
function xavierFiller(spec: TensorSpec, field: RandomField): Filler {
  const [output, input] = spec.shape;
  assert(output !== undefined && input !== undefined, `${spec.name} is a matrix`);
  const bound = Math.sqrt(6 / (input + output));
  return (offset) => bound * (2 * field.uniform(offset) - 1);
}

/** Box and Muller's transform: elements 2i and 2i + 1 share the words of both. */
function standardNormal(field: RandomField, index: number): number {
  const pair = index - (index % 2);
  const u = (field.word(pair) + 0.5) * 2 ** -32; // in (0, 1): the logarithm is finite
  const angle = 2 * Math.PI * (field.word(pair + 1) * 2 ** -32);
  const radius = Math.sqrt(-2 * Math.log(u));
  return radius * (index % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
}
