// Calls of every kernel over odd shapes (no rows, one row, rows that end inside a panel, widths that end inside a
// vector), with inputs that are pure functions of the case. The tests run them on different kernels and compare.

import { ActivationCode, PrecisionCode } from '../../../src/engine/native/addon.js';
import type { Activations, AttentionShape, DropoutSpec, Kernels } from '../../../src/engine/native/addon.js';
import {
  type Case,
  EXACT,
  ROUNDED_TWICE,
  STORED_ROUNDED,
  dropout,
  integers,
  noDropout,
  randoms,
} from './case.js';
import {
  FORMATS,
  type Format,
  type Formats,
  LINEAR_FORMATS,
  type Stored,
  fresh,
  nameOf,
  numbersOf,
  room,
  storedAs,
} from './formats.js';

function linearCases([m, k, n]: readonly [number, number, number]): Case[] {
  const size = `${m}×${k}×${n}`;
  const x = randoms(m * k, 1);
  const w = randoms(n * k, 2);
  const b = randoms(n, 3);
  const activations = Object.entries(ActivationCode);
  const forward = activations.flatMap(([name, code]) =>
    LINEAR_FORMATS.map((formats): Case => ({
      name: `linear ${name} ${size} ${nameOf(formats)}`,
      matmul: true,
      precision: formats.precision,
      ...(formats.stored === 'float32' ? {} : { tolerance: STORED_ROUNDED }),
      run: (kernels) => {
        const [y, pre] = [room(formats.stored, m * n), room(formats.stored, m * n)];
        const bias = code === ActivationCode.none ? null : b;
        kernels.linear(
          ...([storedAs(formats.inputs, x), w, bias, y, pre, m, k, n, code] as const),
          PrecisionCode[formats.precision],
        );
        return [y, pre].map(numbersOf);
      },
    })),
  );
  /** Of dx, and of dw and db, whose operands are the naive kernel's. */
  const gradientTolerance = ({ precision, inputs }: Formats) =>
    precision === 'bfloat16'
      ? { tolerance: [inputs === 'bfloat16' ? STORED_ROUNDED : EXACT, EXACT, EXACT] }
      : {};
  const gradient = activations.flatMap(([name, code]) =>
    LINEAR_FORMATS.map((formats): Case => ({
      name: `linearGradient ${name} ${size} ${nameOf(formats)}`,
      matmul: true,
      precision: formats.precision,
      ...gradientTolerance(formats),
      run: (kernels) => {
        const { stored, inputs } = formats;
        const [dy, saved] = [storedAs(stored, randoms(m * n, 4)), storedAs(inputs, randoms(m * k, 6, 3))];
        const [dx, dw, db] = [room(inputs, m * k), fresh(n * k), fresh(n)];
        const activationInput = code === ActivationCode.none ? null : saved;
        kernels.linearGradient(
          ...([dy, storedAs(inputs, x), w, activationInput, dx, dw, db] as const),
          ...([m, k, n, code, PrecisionCode[formats.precision]] as const),
        );
        return [numbersOf(dx), dw, db];
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
  return [...forward, ...gradient, ...plain];
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
  return FORMATS.flatMap((formats) => {
    const { precision, stored } = formats;
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
    const inputs = (): [Stored, Stored, Int32Array] => {
      const queries = storedAs(stored, query);
      return [queries, self ? queries : storedAs(stored, memory), Int32Array.from(lengths)];
    };
    const forward = (kernels: Kernels): [Stored, Float32Array] => {
      const out = room(stored, b * tq * width);
      const logSum = fresh(b * h * tq);
      kernels.attention(...inputs(), out, logSum, shape);
      return [out, logSum];
    };
    const gradient = (kernels: Kernels): Float32Array[] => {
      const [out, logSum] = forward(kernels);
      const dQuery = room(stored, query.length);
      const dMemory = self ? dQuery : room(stored, memory.length);
      kernels.attentionGradient(
        ...inputs(),
        ...([out, logSum, storedAs(stored, dOut), dQuery, dMemory, shape] as const),
      );
      return [dQuery, dMemory].map(numbersOf);
    };
    const tolerance = stored === 'bfloat16' ? STORED_ROUNDED : ROUNDED_TWICE;
    const common = { matmul: true, precision, ...(precision !== 'bfloat16' ? {} : { tolerance }) };
    return [
      {
        ...common,
        name: `attention ${size} ${nameOf(formats)}`,
        ...(precision !== 'bfloat16' ? {} : { tolerance: [tolerance, ROUNDED_TWICE] }),
        run: (kernels) => forward(kernels).map(numbersOf),
      },
      { ...common, name: `attentionGradient ${size} ${nameOf(formats)}`, run: gradient },
    ];
  });
}

function normCases(rows: number, width: number, spec: DropoutSpec): Case[] {
  const all = rows * width;
  const gamma = randoms(width, 1);
  const forward = (
    kernels: Kernels,
    residual: Float32Array | null,
    stored: Format = 'float32',
  ): Float32Array[] => {
    const [sum, y, stats] = [fresh(all), fresh(all), fresh(rows * 2)];
    const [beta, x] = [randoms(width, 2), storedAs(stored, randoms(all, 3))];
    const operand = stored === 'bfloat16' ? room(stored, all) : null;
    kernels.addDropoutNorm(residual, x, gamma, beta, sum, y, operand, stats, rows, width, 1e-5, spec);
    return [sum, y, stats, ...(operand ? [numbersOf(operand)] : [])];
  };
  const gradient = (
    kernels: Kernels,
    dSum: Float32Array | null,
    stored: Format = 'float32',
    given: { y: boolean; operand: boolean } = { y: true, operand: false },
  ): Float32Array[] => {
    const [sum, , stats] = forward(kernels, randoms(all, 4)) as [Float32Array, Float32Array, Float32Array];
    const dResidual = dSum && fresh(all);
    const [dx, dGamma, dBeta] = [room(stored, all), fresh(width), fresh(width)];
    const dy = given.y ? randoms(all, 5) : null;
    const dOperand = given.operand ? storedAs(stored, randoms(all, 7)) : null;
    kernels.addDropoutNormGradient(
      ...([dy, dOperand, dSum, sum, gamma, stats, dResidual, dx, dGamma, dBeta, rows, width, spec] as const),
    );
    return [numbersOf(dx), dGamma, dBeta, ...(dResidual ? [dResidual] : [])];
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
    {
      name: `addDropoutNorm ${size} of bfloat16`,
      matmul: false,
      stored: 'bfloat16',
      tolerance: [EXACT, EXACT, EXACT, STORED_ROUNDED],
      run: (k) => forward(k, randoms(all, 4), 'bfloat16'),
    },
    {
      name: `addDropoutNormGradient ${size} into bfloat16`,
      matmul: false,
      stored: 'bfloat16',
      tolerance: [STORED_ROUNDED, EXACT, EXACT, EXACT],
      run: (k) => gradient(k, randoms(all, 6), 'bfloat16'),
    },
    ...[true, false].flatMap((y) =>
      (['float32', 'bfloat16'] as const).map((stored) => ({
        name: `addDropoutNormGradient ${size}, ${stored} of an operand ${y ? 'and of y' : 'alone'}`,
        matmul: false,
        stored,
        tolerance: [stored === 'bfloat16' ? STORED_ROUNDED : EXACT, EXACT, EXACT, EXACT],
        run: (k: Kernels) => gradient(k, randoms(all, 6), stored, { y, operand: true }),
      })),
    ),
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
  return FORMATS.flatMap((formats) => {
    const { precision, stored } = formats;
    const code = PrecisionCode[precision];
    const forward = (kernels: Kernels, dLogits: Activations | null): Float32Array => {
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
      name: `crossEntropy without gradient ${size} ${nameOf(formats)}`,
      matmul: true,
      precision,
      run: (kernels) => [forward(kernels, null)],
    };
    const gradient: Case = {
      name: `crossEntropy and its gradient ${size} ${nameOf(formats)}`,
      matmul: true,
      precision,
      ...(precision !== 'bfloat16'
        ? {}
        : {
            tolerance: [
              EXACT,
              stored === 'bfloat16' ? STORED_ROUNDED : ROUNDED_TWICE,
              ROUNDED_TWICE,
              ROUNDED_TWICE,
            ],
          }),
      run: (kernels) => {
        const dLogits = room(stored, rows * vocabulary);
        const result = forward(kernels, dLogits);
        const [dHidden, dTable] = [fresh(hiddenRows * width), randoms(vocabulary * width, 5)];
        kernels.crossEntropyGradient(
          ...([dLogits, hidden, table, lossRows, dHidden, dTable] as const),
          ...([hiddenRows, rows, width, vocabulary, 0.5, smoothing > 0, code] as const),
        );
        const outputs = [result, numbersOf(dLogits), dHidden];
        return smoothing > 0 ? [...outputs, dTable] : outputs;
      },
    };
    return [value, gradient];
  });
}

function vectorCases(count: number): Case[] {
  const a = randoms(count, 1);
  const mixed: Case = {
    name: `add ${count} of bfloat16 to float32`,
    matmul: false,
    stored: 'bfloat16',
    run: (kernels) => {
      const [halves, sums] = [storedAs('bfloat16', a), [fresh(count), fresh(count)]];
      kernels.add(sums[0]!, halves, randoms(count, 2), count, false);
      kernels.add(sums[1]!, halves, halves, count, false);
      return sums;
    },
  };
  const others = [false, true].map((bfloat16): Case => ({
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
      const undecayed = Int32Array.from([count >> 2, count >> 1]);
      kernels.adamW(parameters, m, v, a, count, undecayed, {
        ...{ gradientScale: 0.1, learningRate: 0.01, beta1: 0.9, beta2: 0.98, epsilon: 1e-9 },
        ...{ weightDecay: 0.1, correction1: 1 - 0.9 ** 3, correction2: 1 - 0.98 ** 3 },
      });
      return [sum, widened, rounded, squares, parameters, m, v];
    },
  }));
  return [mixed, ...others];
}

export function cases(): Case[] {
  const linear =
    ([[0, 5, 7], [1, 1, 1], [3, 0, 4], [2, 17, 33], [300, 48, 20], [257, 33, 130], [1030, 16, 260], [9, 600, 550], [600, 5, 1056]] as const) // prettier-ignore
      .flatMap(linearCases);
  // Weights that L2 does not keep: panels of several strips, in bfloat16.
  const large = linearCases([650, 520, 1060]).filter(
    ({ name, precision }) => precision === 'bfloat16' && name.includes(' relu '),
  );
  const attention = (
    [
      { b: 1, tq: 1, tk: 1, h: 1, d: 1, causal: true, lengths: [1] },
      { b: 2, tq: 70, tk: 70, h: 2, d: 20, causal: true, lengths: [70, 33] },
      { b: 3, tq: 40, tk: 40, h: 1, d: 16, causal: false, lengths: [40, 0, 1] },
      { b: 2, tq: 5, tk: 37, h: 3, d: 32, causal: false, lengths: [37, 16] },
      { b: 1, tq: 130, tk: 150, h: 2, d: 7, causal: true, lengths: [141] },
      { b: 2, tq: 1, tk: 65, h: 2, d: 64, causal: false, lengths: [65, 64] },
      { b: 1, tq: 300, tk: 300, h: 1, d: 16, causal: false, lengths: [300] },
      { b: 1, tq: 64, tk: 600, h: 1, d: 64, causal: false, lengths: [600] },
    ] as const
  ).flatMap(attentionCases);
  const norm = ([[0, 8], [1, 1], [1, 100], [65, 64], [130, 37]] as const) // prettier-ignore
    .flatMap(([rows, width]) => [noDropout, dropout].flatMap((spec) => normCases(rows, width, spec)));
  const embedding = ([[0, 1, 8], [1, 1, 3], [150, 50, 48], [130, 13, 37]] as const) // prettier-ignore
    .flatMap(([rows, length, width]) =>
      [noDropout, dropout].flatMap((spec) => embeddingCases(rows, length, width, spec)),
    );
  const loss =
    ([[0, 8, 20, 0.1], [1, 16, 33, 0], [70, 24, 600, 0.1], [530, 17, 500, 0.1], [70, 8, 2100, 0.1]] as const) // prettier-ignore
      .flatMap(([rows, width, vocabulary, smoothing]) => lossCases(rows, width, vocabulary, smoothing));
  const activation = [0, 1, 50, 16500].flatMap((count) =>
    Object.values(ActivationCode).map((code) => activationCase(count, code)),
  );
  const vectors = [0, 1, 15, 16, 100, 65536 + 17].flatMap(vectorCases);
  return [...linear, ...large, ...attention, ...norm, ...embedding, ...loss, ...activation, ...vectors];
}
