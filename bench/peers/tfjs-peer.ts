// The same training step as a user of TensorFlow.js writes it: operations of tfjs, its gradients and its Adam, on the backend
// `tensorflow`. Shapes, parameters and work per step are those of own-peer.ts, which describes how both are spoken to;
// tfjs has no AdamW, so nothing decays here. Its steps are long against their JavaScript, which is not compiled first.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { BACKEND_NAME, loadBackend } from '../../src/engine/tensorflow/load.js';
import { sinusoidalPositions } from '../../src/model/positions.js';

const names = ['vocabulary', 'width', 'heads', 'ff', 'layers', 'samples', 'length', 'threads', 'warm-up'];
const { values } = parseArgs({
  options: Object.fromEntries([...names, 'precision'].map((name) => [name, { type: 'string' as const }])),
});
const number = (name: string): number => Number(values[name]);
const [vocabulary, width, heads, feedForward] = [
  number('vocabulary'),
  number('width'),
  number('heads'),
  number('ff'),
];
const [samples, length] = [number('samples'), number('length')];
const layers = Array.from({ length: number('layers') }, (_, i) => i);
const DROPOUT = 0.1;
const CLIP_NORM = 1;

loadBackend(number('threads'));
await tf.setBackend(BACKEND_NAME);

const matrix = (rows: number, columns: number) => tf.variable(tf.randomNormal([rows, columns], 0, 0.02));
const linear = (inputs: number, outputs: number) => ({
  w: matrix(inputs, outputs),
  b: tf.variable(tf.zeros([outputs])),
});
const norm = () => ({ gamma: tf.variable(tf.ones([width])), beta: tf.variable(tf.zeros([width])) });
const feedForwardLayer = () => ({
  up: linear(width, feedForward),
  down: linear(feedForward, width),
  norm: norm(),
});
const attentionLayer = () => ({
  q: linear(width, width),
  k: linear(width, width),
  v: linear(width, width),
  out: linear(width, width),
  norm: norm(),
});

const table = matrix(vocabulary, width);
const positions = tf.tensor2d(sinusoidalPositions(length, width), [length, width]);
const encoder = layers.map(() => ({ self: attentionLayer(), ...feedForwardLayer() }));
const decoder = layers.map(() => ({
  self: attentionLayer(),
  cross: attentionLayer(),
  ...feedForwardLayer(),
}));
const future = tf.linalg
  .bandPart(tf.ones([length, length]), 0, -1)
  .sub(tf.eye(length))
  .mul(-1e9); // [T, T]

type Linear = ReturnType<typeof linear>;
type Norm = ReturnType<typeof norm>;
type Attention = ReturnType<typeof attentionLayer>;

/** x [B * T, K] -> [B * T, N] */
function apply(x: tf.Tensor2D, { w, b }: Linear): tf.Tensor2D {
  return tf.matMul(x, w as tf.Tensor2D).add(b);
}

function addAndNorm(residual: tf.Tensor2D, x: tf.Tensor2D, { gamma, beta }: Norm): tf.Tensor2D {
  const sum = residual.add(tf.dropout(x, DROPOUT));
  const { mean, variance } = tf.moments(sum, -1, true);
  return sum.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(gamma).add(beta);
}

function attention(
  x: tf.Tensor2D,
  memory: tf.Tensor2D,
  layer: Attention,
  mask: tf.Tensor | null,
): tf.Tensor2D {
  const split = (y: tf.Tensor2D) =>
    y.reshape([samples, length, heads, width / heads]).transpose([0, 2, 1, 3]); // [B, H, T, D]
  const [q, k, v] = [split(apply(x, layer.q)), split(apply(memory, layer.k)), split(apply(memory, layer.v))];
  const scores = tf.matMul(q, k, false, true).div(Math.sqrt(width / heads));
  const weights = tf.softmax(mask === null ? scores : scores.add(mask));
  const mixed = tf
    .matMul(weights, v)
    .transpose([0, 2, 1, 3])
    .reshape<tf.Tensor2D>([samples * length, width]);
  return addAndNorm(x, apply(mixed, layer.out), layer.norm);
}

function feedForwardOf(x: tf.Tensor2D, layer: ReturnType<typeof feedForwardLayer>): tf.Tensor2D {
  return addAndNorm(x, apply(apply(x, layer.up).relu(), layer.down), layer.norm);
}

/** ids [B * T] -> [B * T, d] */
function embed(ids: tf.Tensor1D): tf.Tensor2D {
  const words = tf.gather(table, ids).reshape([samples, length, width]).mul(Math.sqrt(width));
  return tf.dropout(words.add(positions), DROPOUT).reshape([samples * length, width]);
}

function loss(): tf.Scalar {
  let memory = embed(source);
  for (const layer of encoder) memory = feedForwardOf(attention(memory, memory, layer.self, null), layer);
  let x = embed(decoderInput);
  for (const layer of decoder) {
    x = attention(attention(x, x, layer.self, future), memory, layer.cross, null);
    x = feedForwardOf(x, layer);
  }
  const logits = tf.matMul(x, table, false, true); // [B * T, V]
  return tf.losses.softmaxCrossEntropy(tf.oneHot(labels, vocabulary), logits);
}

const words = (): tf.Tensor1D => tf.randomUniformInt<tf.Rank.R1>([samples * length], 2, vocabulary);
const [source, decoderInput, labels] = [words(), words(), words()];
const parameters = Object.values(tf.engine().registeredVariables).reduce((sum, { size }) => sum + size, 0);
const optimizer = tf.train.adam(1e-4, 0.9, 0.999, 1e-8);

function train(): void {
  const found = tf.tidy(() => {
    const { value, grads } = tf.variableGrads(loss);
    const squares = Object.values(grads).map((gradient) => gradient.square().sum());
    const factor = tf.minimum(1, tf.scalar(CLIP_NORM).div(tf.addN(squares).sqrt()));
    optimizer.applyGradients(
      Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, g.mul(factor)])),
    );
    return value;
  });
  found.dataSync(); // whoever trains looks at it
  found.dispose();
}

for (let i = 0; i < number('warm-up'); i++) train();
answer({ version: `tfjs ${tf.version_core}`, parameters });

for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line) as { steps: number };
  train(); // as in own-peer.ts
  const seconds = Array.from({ length: steps }, () => {
    const startedAt = performance.now();
    train();
    return (performance.now() - startedAt) / 1000;
  });
  answer({ seconds });
}

function answer(fields: object): void {
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ ...fields, peakBytes })}\n`);
}
