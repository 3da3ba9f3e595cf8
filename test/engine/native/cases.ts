// Calls of every kernel over odd shapes (no rows, one row, rows that end inside a panel, widths that end inside a
// vector), with inputs that are pure functions of the case. The tests run them on different kernels and compare.

import assert from 'node:assert/strict';
import { ActivationCode, PrecisionCode } from '../../../src/engine/native/addon.js';
import type { AttentionShape, DropoutSpec, Kernels } from '../../../src/engine/native/addon.js';
import { RandomField } from '../../../src/util/philox.js';

export interface Case {
  readonly name: string;
  /** Whether a product by the matmul library is part of it (bits may then differ between its instruction sets). */
  readonly matmul: boolean;
  /** Of the case's products, where it has any that can differ. */
  readonly precision?: keyof typeof PrecisionCode;
  /** How far the naive kernel's results may be, relative to the largest value; default 2e-5. */
  readonly tolerance?: number;
  readonly run: (kernels: Kernels) => Float32Array[];
}

/** Uniform in [-scale, scale). */
export function randoms(count: number, site: number, scale = 1): Float32Array {
  const field = new RandomField({ seed: 7, step: 0, microBatch: 0, site });
  return Float32Array.from({ length: count }, (_, i) => (field.uniform(i) * 2 - 1) * scale);
}

function integers(count: number, site: number, bound: number): Int32Array {
  const field = new RandomField({ seed: 7, step: 0, microBatch: 0, site });
  return Int32Array.from({ length: count }, (_, i) => field.integer(i, bound));
}

/** Filled with NaN, so that an element which a kernel forgets to write is seen. */
function fresh(count: number): Float32Array {
  return new Float32Array(count).fill(NaN);
}

/** The largest difference, relative to the largest value expected; differing NaN or Infinity count as Infinity. */
export function difference(got: Float32Array, expected: Float32Array): number {
  assert.equal(got.length, expected.length);
  let largest = 0;
  let size = 1e-6;
  expected.forEach((value, i) => {
    size = Math.max(size, Math.abs(value));
    const apart = Math.abs(got[i]! - value);
    largest = Math.max(largest, Number.isNaN(apart) ? Infinity : apart);
  });
  return largest / size;
}

const noDropout: DropoutSpec = { rate: 0, seed: 0, step: 0, microBatch: 0, site: 0 };
const dropout: DropoutSpec = { rate: 0.3, seed: 2 ** 40 + 5, step: 9, microBatch: 3, site: 17 };

const PRECISIONS = Object.keys(PrecisionCode) as (keyof typeof PrecisionCode)[];

/**
 * Where an operand of bfloat16 is computed, not given, it may be rounded to the neighbour of what the naive kernel rounds
 * it to: 2^-8 relative for one term of a sum.
 */
const ROUNDED_TWICE = 4e-3;

function linearCases([m, k, n]: readonly [number, number, number]): Case[] {
  const size = `${m}×${k}×${n}`;
  const x = randoms(m * k, 1);
  const w = randoms(n * k, 2);
  const b = randoms(n, 3);
  const activations = Object.entries(ActivationCode);
  const forward = activations.map(([name, code]) =>
    PRECISIONS.map((precision): Case => ({
      name: `linear ${name} ${size} ${precision}`,
      matmul: true,
      precision,
      run: (kernels) => {
        const y = fresh(m * n);
        const pre = fresh(m * n);
        const bias = code === ActivationCode.none ? null : b;
        kernels.linear(x, w, bias, y, pre, m, k, n, code, PrecisionCode[precision]);
        return [y, pre];
      },
    })),
  );
  const computed = new Set<ActivationCode>([ActivationCode.gelu, ActivationCode.swish]);
  const gradient = activations.map(([name, code]) =>
    PRECISIONS.map((precision): Case => ({
      name: `linearGradient ${name} ${size} ${precision}`,
      matmul: true,
      precision,
      ...(precision === 'float32' || !computed.has(code) ? {} : { tolerance: ROUNDED_TWICE }),
      run: (kernels) => {
        const [dy, saved] = [randoms(m * n, 4), randoms(m * n, 6, 3)];
        const [dx, dw, db] = [fresh(m * k), fresh(n * k), fresh(n)];
        kernels.linearGradient(
          ...([dy, x, w, code === ActivationCode.none ? null : saved, dx, dw, db] as const),
          ...([m, k, n, code, PrecisionCode[precision]] as const),
        );
        return [dx, dw, db];
      },
    })),
  );
  const plain = [0, 1, 2, 3].map((bits): Case => ({
    name: `matmul ${bits.toString(2).padStart(2, '0')} ${size}`,
    matmul: true,
    run: (kernels) => {
      const c = fresh(m * n);
      kernels.matmul(x, w, c, m, k, n, (bits & 1) > 0, (bits & 2) > 0);
      return [c];
    },
  }));
  return [...forward.flat(), ...gradient.flat(), ...plain];
}

/** The gradient through an activation alone: of a layer that multiplies one input by 1. */
export function activationGradient(
  kernels: Kernels,
  dy: Float32Array,
  saved: Float32Array,
  activation: ActivationCode,
): Float32Array {
  const count = dy.length;
  const [dx, dw] = [fresh(count), new Float32Array(1)];
  kernels.linearGradient(
    ...([dy, new Float32Array(count), Float32Array.of(1), saved, dx, dw, null] as const),
    ...([count, 1, 1, activation, PrecisionCode.float32] as const),
  );
  return dx;
}

function activationCase(count: number, activation: ActivationCode): Case {
  return {
    name: `activation ${activation} of ${count}, its gradient`,
    matmul: false,
    run: (kernels) => [activationGradient(kernels, randoms(count, 1), randoms(count, 2, 5), activation)],
  };
}

interface AttentionSize {
  readonly b: number;
  readonly tq: number;
  readonly tk: number;
  readonly h: number;
  readonly d: number;
  readonly causal: boolean;
  readonly lengths: readonly number[];
}

/** Self-attention over packed q|k|v where tq = tk, otherwise q and packed k|v apart. */
function attentionCases({ b, tq, tk, h, d, causal, lengths }: AttentionSize): Case[] {
  const width = h * d;
  const self = tq === tk;
  const qStride = self ? 3 * width : width;
  const kvStride = self ? qStride : 2 * width;
  const kOffset = self ? width : 0;
  const query = randoms(b * tq * qStride, 1, 2);
  const memory = self ? query : randoms(b * tk * kvStride, 2, 2);
  const dOut = randoms(b * tq * width, 3);
  const size = `B${b} Tq${tq} Tk${tk} H${h} D${d}${causal ? ' causal' : ''}`;
  return PRECISIONS.flatMap((precision) => {
    const shape: AttentionShape = {
      ...{
        batch: b,
        queries: tq,
        keys: tk,
        heads: h,
        headWidth: d,
        causal,
        precision: PrecisionCode[precision],
      },
      ...{ qOffset: 0, qStride, kOffset, vOffset: kOffset + width, kvStride },
    };
    const forward = (kernels: Kernels): [Float32Array, Float32Array] => {
      const out = fresh(b * tq * width);
      const logSum = fresh(b * h * tq);
      kernels.attention(query, memory, Int32Array.from(lengths), out, logSum, shape);
      return [out, logSum];
    };
    const gradient = (kernels: Kernels): Float32Array[] => {
      const [out, logSum] = forward(kernels);
      const dQuery = fresh(query.length);
      const dMemory = self ? dQuery : fresh(memory.length);
      const ends = Int32Array.from(lengths);
      kernels.attentionGradient(query, memory, ends, out, logSum, dOut, dQuery, dMemory, shape);
      return [dQuery, dMemory];
    };
    const common = {
      matmul: true,
      precision,
      ...(precision === 'float32' ? {} : { tolerance: ROUNDED_TWICE }),
    };
    return [
      { ...common, name: `attention ${size} ${precision}`, run: forward },
      { ...common, name: `attentionGradient ${size} ${precision}`, run: gradient },
    ];
  });
}

function normCases(rows: number, width: number, spec: DropoutSpec): Case[] {
  const all = rows * width;
  const gamma = randoms(width, 1);
  const forward = (kernels: Kernels, residual: Float32Array | null): Float32Array[] => {
    const [sum, y, stats] = [fresh(all), fresh(all), fresh(rows * 2)];
    const beta = randoms(width, 2);
    kernels.addDropoutNorm(residual, randoms(all, 3), gamma, beta, sum, y, stats, rows, width, 1e-5, spec);
    return [sum, y, stats];
  };
  const gradient = (kernels: Kernels, dSum: Float32Array | null): Float32Array[] => {
    const [sum, , stats] = forward(kernels, randoms(all, 4)) as [Float32Array, Float32Array, Float32Array];
    const dResidual = dSum && fresh(all);
    const [dx, dGamma, dBeta] = [fresh(all), fresh(width), fresh(width)];
    const dy = randoms(all, 5);
    kernels.addDropoutNormGradient(
      ...([dy, dSum, sum, gamma, stats, dResidual, dx, dGamma, dBeta, rows, width, spec] as const),
    );
    return [dx, dGamma, dBeta, ...(dResidual ? [dResidual] : [])];
  };
  const size = `${rows}×${width} rate ${spec.rate}`;
  return [
    { name: `addDropoutNorm ${size}`, matmul: false, run: (k) => forward(k, randoms(all, 4)) },
    { name: `addDropoutNorm without residual ${size}`, matmul: false, run: (k) => forward(k, null) },
    { name: `addDropoutNormGradient ${size}`, matmul: false, run: (k) => gradient(k, null) },
    {
      name: `addDropoutNormGradient, dSum, ${size}`,
      matmul: false,
      run: (k) => gradient(k, randoms(all, 6)),
    },
  ];
}

function embeddingCases(rows: number, length: number, width: number, spec: DropoutSpec): Case[] {
  const vocabulary = 300;
  const ids = integers(rows, 1, vocabulary / 3);
  const gradient = (kernels: Kernels, accumulate: boolean, padding = -1): Float32Array[] => {
    const dTable = accumulate ? randoms(vocabulary * width, 5) : fresh(vocabulary * width);
    const dOut = randoms(rows * width, 4);
    kernels.embeddingGradient(dOut, ids, dTable, rows, vocabulary, width, 16, spec, padding, accumulate);
    return [dTable];
  };
  const size = `${rows}×${width} rate ${spec.rate}`;
  return [
    {
      name: `embedding ${size}`,
      matmul: false,
      run: (kernels) => {
        const out = fresh(rows * width);
        const [table, positions] = [randoms(vocabulary * width, 2), randoms((length + 2) * width, 3)];
        kernels.embedding(table, positions, ids, out, rows, length, 2, width, 16, spec);
        return [out];
      },
    },
    { name: `embeddingGradient ${size}`, matmul: false, run: (k) => gradient(k, false) },
    { name: `embeddingGradient, added, ${size}`, matmul: false, run: (k) => gradient(k, true) },
    { name: `embeddingGradient, padded, ${size}`, matmul: false, run: (k) => gradient(k, true, ids[0]) },
  ];
}

function lossCases(rows: number, width: number, vocabulary: number, smoothing: number): Case[] {
  const hiddenRows = rows + 5;
  const hidden = randoms(hiddenRows * width, 1, 3);
  const table = randoms(vocabulary * width, 2);
  const lossRows = Int32Array.from({ length: rows }, (_, i) => (i * 7) % hiddenRows);
  const size = `R${rows} d${width} V${vocabulary} smoothing ${smoothing}`;
  return PRECISIONS.flatMap((precision) => {
    const code = PrecisionCode[precision];
    const forward = (kernels: Kernels, dLogits: Float32Array | null): Float32Array => {
      const result = fresh(2);
      const [loss, correct] = [result.subarray(0, 1), result.subarray(1)];
      const [bias, labels] = [randoms(vocabulary, 3), integers(rows, 4, vocabulary)];
      kernels.crossEntropy(
        ...([hidden, table, bias, lossRows, labels, dLogits, loss, correct] as const),
        ...([rows, width, vocabulary, smoothing, code] as const),
      );
      return result;
    };
    const value: Case = {
      name: `crossEntropy without gradient ${size} ${precision}`,
      matmul: true,
      precision,
      run: (kernels) => [forward(kernels, null)],
    };
    const gradient: Case = {
      name: `crossEntropy and its gradient ${size} ${precision}`,
      matmul: true,
      precision,
      ...(precision === 'float32' ? {} : { tolerance: ROUNDED_TWICE }),
      run: (kernels) => {
        const paired = Math.ceil(rows / 2) * 16 * Math.ceil(vocabulary / 16);
        const dLogits = fresh(precision === 'bfloat16' ? paired : rows * vocabulary);
        const result = forward(kernels, dLogits);
        const [dHidden, dTable] = [fresh(hiddenRows * width), randoms(vocabulary * width, 5)];
        kernels.crossEntropyGradient(
          ...([dLogits, hidden, table, lossRows, dHidden, dTable] as const),
          ...([hiddenRows, rows, width, vocabulary, 0.5, smoothing > 0, code] as const),
        );
        const kept = precision === 'bfloat16' ? [] : [dLogits]; // two rows in one
        return smoothing > 0 ? [result, ...kept, dHidden, dTable] : [result, ...kept, dHidden];
      },
    };
    return [value, gradient];
  });
}

function vectorCases(count: number): Case[] {
  const a = randoms(count, 1);
  return [false, true].map((bfloat16) => ({
    name: `add, bfloat16, AdamW of ${count}${bfloat16 ? ' rounded' : ''}`,
    matmul: false,
    run: (kernels) => {
      const sum = fresh(count);
      kernels.add(sum, a, randoms(count, 2), count, bfloat16);
      const halves = new Uint16Array(count);
      kernels.packBfloat16(a, halves, count);
      const widened = fresh(count);
      kernels.unpackBfloat16(halves, widened, count);
      const rounded = a.slice();
      kernels.roundToBfloat16(rounded, count);
      const squares = Float32Array.of(kernels.sumOfSquares(a, count));
      const [parameters, m, v] = [randoms(count, 3), randoms(count, 4, 0.1), randoms(count, 5, 0.1)];
      v.forEach((value, i) => (v[i] = value * value));
      kernels.adamW(parameters, m, v, a, count, {
        ...{ gradientScale: 0.1, learningRate: 0.01, beta1: 0.9, beta2: 0.98, epsilon: 1e-9 },
        ...{ weightDecay: 0.1, correction1: 1 - 0.9 ** 3, correction2: 1 - 0.98 ** 3 },
      });
      return [sum, widened, rounded, squares, parameters, m, v];
    },
  }));
}

export function cases(): Case[] {
  const linear =
    ([[0, 5, 7], [1, 1, 1], [3, 0, 4], [2, 17, 33], [300, 48, 20], [257, 33, 130], [1030, 16, 260], [9, 600, 550]] as const) // prettier-ignore
      .flatMap(linearCases);
  const attention = (
    [
      { b: 1, tq: 1, tk: 1, h: 1, d: 1, causal: true, lengths: [1] },
      { b: 2, tq: 70, tk: 70, h: 2, d: 20, causal: true, lengths: [70, 33] },
      { b: 3, tq: 40, tk: 40, h: 1, d: 16, causal: false, lengths: [40, 0, 1] },
      { b: 2, tq: 5, tk: 37, h: 3, d: 32, causal: false, lengths: [37, 16] },
      { b: 1, tq: 130, tk: 150, h: 2, d: 7, causal: true, lengths: [141] },
      { b: 2, tq: 1, tk: 65, h: 2, d: 64, causal: false, lengths: [65, 64] },
    ] as const
  ).flatMap(attentionCases);
  const norm = ([[0, 8], [1, 1], [1, 100], [65, 64], [130, 37]] as const) // prettier-ignore
    .flatMap(([rows, width]) => [noDropout, dropout].flatMap((spec) => normCases(rows, width, spec)));
  const embedding = ([[0, 1, 8], [1, 1, 3], [150, 50, 48], [130, 13, 37]] as const) // prettier-ignore
    .flatMap(([rows, length, width]) =>
      [noDropout, dropout].flatMap((spec) => embeddingCases(rows, length, width, spec)),
    );
  const loss =
    ([[0, 8, 20, 0.1], [1, 16, 33, 0], [70, 24, 600, 0.1], [260, 17, 50, 0.1], [70, 8, 2100, 0.1]] as const) // prettier-ignore
      .flatMap(([rows, width, vocabulary, smoothing]) => lossCases(rows, width, vocabulary, smoothing));
  const activation = [0, 1, 50, 16500].flatMap((count) =>
    Object.values(ActivationCode).map((code) => activationCase(count, code)),
  );
  const vectors = [0, 1, 15, 16, 100, 65536 + 17].flatMap(vectorCases);
  return [...linear, ...attention, ...norm, ...embedding, ...loss, ...activation, ...vectors];
}
