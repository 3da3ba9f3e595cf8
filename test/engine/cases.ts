// The fused operations at several shapes and settings, each as a function of its differentiable inputs, with the
// reference and (for the small ones) a float64 version beside it.
import * as tf from '@tensorflow/tfjs';
import type { Dropout } from '../../src/engine/kernels.js';
import * as ops from '../../src/engine/ops.js';
import * as references from '../../src/engine/references.js';
import * as float64 from './float64.js';
import { randomIds, randomTensor } from './support.js';

/** `ops` or `references`: they have the same signatures. */
export type Implementation = Pick<
  typeof ops,
  | 'linear'
  | 'feedForward'
  | 'selfAttention'
  | 'crossAttention'
  | 'addDropoutNorm'
  | 'layerNorm'
  | 'embedding'
  | 'crossEntropy'
>;

export interface Case {
  readonly name: string;
  readonly inputs: () => tf.Tensor[];
  readonly run: (implementation: Implementation, inputs: tf.Tensor[]) => tf.Tensor[];
  /** The same in float64, from the inputs' values; null where finite differences would take too long. */
  readonly float64: ((inputs: Float64Array[]) => Float64Array[]) | null;
}

export const implementations: { fused: Implementation; reference: Implementation } = {
  fused: ops,
  reference: references,
};

export const DROPOUT: Dropout = { rate: 0.3, site: 18, key: { seed: 2 ** 40 + 7, step: 5, microBatch: 3 } };

const SMALL_SIZE = 400;

function linearCases(): Case[] {
  const shapes: [number[], number][] = [
    [[3], 4],
    [[2, 3, 5], 7],
    [[7, 33], 17],
    [[130, 64], 48],
  ];
  return shapes.map(([shape, n]): Case => {
    const k = shape.at(-1)!;
    return {
      name: `linear [${shape.join(', ')}] -> ${n}`,
      inputs: () => [randomTensor(1, shape), randomTensor(2, [n, k]), randomTensor(3, [n])],
      run: (on, [x, w, b]) => [on.linear(x!, w!, b!)],
      float64:
        n * k < SMALL_SIZE ? ([x, w, b]) => [float64.linear(x!, w!, b!, { k, n, activation: 'none' })] : null,
    };
  });
}

function feedForwardCases(): Case[] {
  const shapes: [number[], number, number][] = [
    [[3], 5, 4],
    [[2, 3, 5], 9, 7],
    [[7, 33], 50, 17],
    [[130, 64], 96, 48],
  ];
  return (['relu', 'gelu', 'swish'] as const).flatMap((activation) =>
    shapes.map(([shape, f, n]): Case => {
      const k = shape.at(-1)!;
      const scale = 1 / Math.sqrt(f);
      return {
        name: `feedForward ${activation} [${shape.join(', ')}] -> ${f} -> ${n}`,
        inputs: () => [
          randomTensor(1, shape),
          randomTensor(2, [f, k]),
          randomTensor(3, [f]),
          randomTensor(4, [n, f]).mul(scale),
          randomTensor(5, [n]),
        ],
        run: (on, [x, w1, b1, w2, b2]) => [on.feedForward(x!, [w1!, b1!], [w2!, b2!], activation)],
        float64:
          f * k < SMALL_SIZE
            ? ([x, w1, b1, w2, b2]) => {
                const hidden = float64.linear(x!, w1!, b1!, { k, n: f, activation });
                return [float64.linear(hidden, w2!, b2!, { k: f, n, activation: 'none' })];
              }
            : null,
      };
    }),
  );
}

/** [B, T, d, H, lengths] */
const ATTENTION_SHAPES: [number, number, number, number, number[]][] = [
  [1, 1, 4, 1, [1]],
  [3, 5, 8, 2, [5, 2, 0]],
  [2, 17, 24, 3, [17, 9]],
  [2, 70, 32, 2, [64, 70]],
];

function selfAttentionCases(): Case[] {
  return [false, true].flatMap((causal) =>
    ATTENTION_SHAPES.map(([batch, length, width, heads, counts]): Case => {
      const shape = { batch, queries: length, keys: length, width, heads, lengths: counts, causal };
      return {
        name: `selfAttention ${causal ? 'causal ' : ''}[${batch}, ${length}, ${width}] lengths ${counts.join(' ')}`,
        inputs: () => [randomTensor(1, [batch, length, 3 * width])],
        run: (on, [qkv]) => [on.selfAttention(qkv!, int32(counts), heads, causal)],
        float64: length < 10 ? ([qkv]) => [float64.selfAttention(qkv!, shape)] : null,
      };
    }),
  );
}

function crossAttentionCases(): Case[] {
  return [1, 4, 9].flatMap((queries) =>
    ATTENTION_SHAPES.map(([batch, keys, width, heads, counts]): Case => {
      const shape = { batch, queries, keys, width, heads, lengths: counts, causal: false };
      return {
        name: `crossAttention [${batch}, ${queries}, ${width}] to ${keys} lengths ${counts.join(' ')}`,
        inputs: () => [randomTensor(1, [batch, queries, width]), randomTensor(2, [batch, keys, 2 * width])],
        run: (on, [q, kv]) => [on.crossAttention(q!, kv!, int32(counts), heads)],
        float64: keys < 10 ? ([q, kv]) => [float64.crossAttention(q!, kv!, shape)] : null,
      };
    }),
  );
}

function normCases(): Case[] {
  const shapes = [
    [3, 4],
    [2, 5, 16],
    [131, 40],
  ];
  return shapes.flatMap((shape): Case[] => {
    const width = shape.at(-1)!;
    const inputs = () => [
      randomTensor(1, shape),
      randomTensor(2, shape),
      randomTensor(3, [width]),
      randomTensor(4, [width]),
    ];
    const small = shape[0]! < 10;
    const placed = (dropout: Dropout, wanted: ('sum' | 'normed' | 'operand')[]): Case => ({
      name: `addDropoutNorm [${shape.join(', ')}] dropout ${dropout?.rate ?? 0}, ${wanted.join(' and ')} used`,
      inputs,
      run: (on, [residual, x, gamma, beta]) => {
        const result = on.addDropoutNorm(residual!, x!, gamma!, beta!, dropout);
        return wanted.map((name) => result[name]);
      },
      float64: small
        ? ([residual, x, gamma, beta]) => {
            const result = float64.addDropoutNorm(residual!, x!, gamma!, beta!, dropout);
            return wanted.map((name) => result[name]);
          }
        : null,
    });
    return [
      placed(null, ['normed']),
      placed(DROPOUT, ['normed']),
      placed(null, ['sum', 'normed']),
      placed(DROPOUT, ['sum', 'normed']),
      placed(DROPOUT, ['operand']),
      placed(DROPOUT, ['normed', 'operand']),
      placed(null, ['sum', 'operand']),
      {
        name: `layerNorm [${shape.join(', ')}]`,
        inputs: () => inputs().slice(1),
        run: (on, [x, gamma, beta]) => [on.layerNorm(x!, gamma!, beta!)],
        float64: small ? ([x, gamma, beta]) => [float64.layerNorm(x!, gamma!, beta!)] : null,
      },
    ];
  });
}

function embeddingCases(): Case[] {
  const shapes: [number, number, number, number, number][] = [
    [2, 3, 6, 4, 0],
    [3, 7, 50, 24, 5],
    [1, 1, 9, 8, 11],
  ];
  return [null, DROPOUT].flatMap((dropout) =>
    shapes.map(([batch, length, vocabulary, width, first]): Case => {
      // One that occurs where there is more than one id.
      const padding = batch > 1 ? randomIds(3, [batch, length], vocabulary).dataSync()[1]! : null;
      const options = { scale: Math.sqrt(width), first, padding, dropout };
      const positions = () => randomTensor(2, [12, width]);
      const ids = () => randomIds(3, [batch, length], vocabulary);
      return {
        name: `embedding [${batch}, ${length}] of ${vocabulary} x ${width} from ${first}, dropout ${dropout?.rate ?? 0}`,
        inputs: () => [randomTensor(1, [vocabulary, width])],
        run: (on, [table]) => [on.embedding(table!, positions(), ids(), options)],
        // What is withheld from a gradient is no difference of the values.
        float64:
          padding !== null
            ? null
            : ([table]) => {
                const window = Float64Array.from(positions().dataSync()).subarray(first * width);
                return [float64.embedding(table!, window, ids().dataSync(), { length, width, ...options })];
              },
      };
    }),
  );
}

function crossEntropyCases(): Case[] {
  const shapes: [number, number, number, number, number[]][] = [
    [2, 3, 4, 5, [0, 2, 5]],
    [2, 9, 16, 33, [1, 4, 7, 8, 12, 17]],
    [3, 50, 24, 130, Array.from({ length: 140 }, (_, i) => i)],
    [1, 2, 4, 5, []],
  ];
  return [0, 0.1].flatMap((smoothing) =>
    shapes.map(([batch, length, width, vocabulary, rows]): Case => {
      const bias = () => randomTensor(3, [vocabulary]);
      const labels = () => randomIds(4, [rows.length], vocabulary);
      return {
        name: `crossEntropy ${rows.length} of ${batch * length} rows, ${vocabulary} x ${width}, smoothing ${smoothing}`,
        inputs: () => [randomTensor(1, [batch, length, width]), randomTensor(2, [vocabulary, width])],
        run: (on, [hidden, table]) => [
          on.crossEntropy(hidden!, table!, bias(), int32(rows), labels(), smoothing).loss,
        ],
        float64:
          vocabulary < 40 && rows.length > 0
            ? ([hidden, table]) => [
                float64.crossEntropy(hidden!, table!, Float64Array.from(bias().dataSync()), {
                  rows,
                  labels: labels().dataSync(),
                  width,
                  smoothing,
                }),
              ]
            : null,
      };
    }),
  );
}

function int32(values: number[]): tf.Tensor {
  return tf.tensor1d(values, 'int32');
}

export const cases: Case[] = [
  ...linearCases(),
  ...feedForwardCases(),
  ...selfAttentionCases(),
  ...crossAttentionCases(),
  ...normCases(),
  ...embeddingCases(),
  ...crossEntropyCases(),
];
