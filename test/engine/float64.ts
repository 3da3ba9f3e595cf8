// The fused operations' forward passes in float64 and plain loops, for finite differences: with steps of 1e-5
// their error is about 1e-9, far below what float32 gradients can be held to.
import type { Activation } from '../../src/model/config.js';
import type { Dropout } from '../../src/engine/kernels.js';
import { RandomField } from '../../src/util/philox.js';

/** Φ's error function by its power series: exact to about 1e-10 for |x| < 4. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** x [M, K], w [N, K], b [N] -> [M, N]. */
export function linear(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array,
  { k, n, activation }: { k: number; n: number; activation: 'none' | Activation },
): Float64Array {
  const y = new Float64Array((x.length / k) * n);
  for (let i = 0; i < y.length; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    let z = b[column]!;
    for (let j = 0; j < k; j++) z += x[row * k + j]! * w[column * k + j]!;
    if (activation === 'relu') z = Math.max(z, 0);
    if (activation === 'swish') z /= 1 + Math.exp(-z);
    if (activation === 'gelu') z *= 0.5 * (1 + erf(z * Math.SQRT1_2));
    y[i] = z;
  }
  return y;
}

export interface Attention {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly heads: number;
  readonly lengths: readonly number[];
  readonly causal: boolean;
}

/** qkv [B, T, 3d] -> [B, T, d]. */
export function selfAttention(qkv: Float64Array, shape: Attention): Float64Array {
  const stride = 3 * shape.width;
  return attention(
    shape,
    (row, i) => qkv[row * stride + i]!,
    (row, i) => qkv[row * stride + shape.width + i]!,
  );
}

/** q [B, Tq, d], kv [B, Tk, 2d] -> [B, Tq, d]. */
export function crossAttention(q: Float64Array, kv: Float64Array, shape: Attention): Float64Array {
  const { width } = shape;
  return attention(
    shape,
    (row, i) => q[row * width + i]!,
    (row, i) => kv[row * 2 * width + i]!,
  );
}

/** `q(row, i)` reads element i of a query; `kv(row, i)` reads a key at [0, d) and a value at [d, 2d). */
function attention(
  { batch, queries, keys, width, heads, lengths, causal }: Attention,
  q: (row: number, i: number) => number,
  kv: (row: number, i: number) => number,
): Float64Array {
  const out = new Float64Array(batch * queries * width);
  const headWidth = width / heads;
  for (let row = 0; row < batch * queries; row++) {
    const sample = Math.floor(row / queries);
    const end = Math.min(lengths[sample]!, causal ? (row % queries) + 1 + keys - queries : keys);
    for (let head = 0; head < heads; head++) {
      const start = head * headWidth;
      const weights = Array.from({ length: end }, (_, key) => {
        let score = 0;
        for (let i = start; i < start + headWidth; i++) score += q(row, i) * kv(sample * keys + key, i);
        return Math.exp(score / Math.sqrt(headWidth));
      });
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      weights.forEach((weight, key) => {
        for (let i = start; i < start + headWidth; i++) {
          out[row * width + i]! += (weight / total) * kv(sample * keys + key, width + i);
        }
      });
    }
  }
  return out;
}

export function addDropoutNorm(
  residual: Float64Array,
  x: Float64Array,
  gamma: Float64Array,
  beta: Float64Array,
  dropout: Dropout,
): { sum: Float64Array; normed: Float64Array; operand: Float64Array } {
  const sum = applyDropout(x, dropout).map((value, i) => value + residual[i]!);
  const normed = layerNorm(sum, gamma, beta);
  return { sum, normed, operand: normed };
}

export function layerNorm(x: Float64Array, gamma: Float64Array, beta: Float64Array): Float64Array {
  const width = gamma.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = x.subarray(start, start + width);
    const mean = row.reduce((sum, value) => sum + value, 0) / width;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    row.forEach((value, i) => {
      y[start + i] = ((value - mean) / Math.sqrt(variance + 1e-5)) * gamma[i]! + beta[i]!;
    });
  }
  return y;
}

function applyDropout(x: Float64Array, dropout: Dropout): Float64Array {
  if (dropout === null) return x;
  const field = new RandomField({ ...dropout.key, site: dropout.site });
  const { rate } = dropout;
  return x.map((value, i) => (field.word(i) >= rate * 2 ** 32 ? value / (1 - rate) : 0));
}

/** `positions` starts at the first one used. */
export function embedding(
  table: Float64Array,
  positions: Float64Array,
  ids: ArrayLike<number>,
  { length, width, scale, dropout }: { length: number; width: number; scale: number; dropout: Dropout },
): Float64Array {
  const out = new Float64Array(ids.length * width);
  for (let i = 0; i < out.length; i++) {
    const [row, column] = [Math.floor(i / width), i % width];
    out[i] = table[ids[row]! * width + column]! * scale + positions[(row % length) * width + column]!;
  }
  return applyDropout(out, dropout);
}

/** The loss alone, as an array of one. */
export function crossEntropy(
  hidden: Float64Array,
  table: Float64Array,
  bias: Float64Array,
  {
    rows,
    labels,
    width,
    smoothing,
  }: {
    rows: readonly number[];
    labels: ArrayLike<number>;
    width: number;
    smoothing: number;
  },
): Float64Array {
  let loss = 0;
  rows.forEach((row, r) => {
    const x = hidden.subarray(row * width, (row + 1) * width);
    const logits = linear(x, table, bias, { k: width, n: bias.length, activation: 'none' });
    const logTotal = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const mean = logits.reduce((sum, logit) => sum + logit, 0) / logits.length;
    loss += logTotal - (1 - smoothing) * logits[labels[r]!]! - smoothing * mean;
  });
  return Float64Array.of(loss);
}
