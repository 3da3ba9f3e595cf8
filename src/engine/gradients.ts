// The gradients of the fused kernels. Each runs one backward kernel at once and hands ready tensors to tfjs,
// which asks for the inputs' gradients one by one.
import * as tf from '@tensorflow/tfjs';
import { assert } from '../util/errors.js';
import {
  type CrossEntropyAttrs,
  type FeedForwardAttrs,
  Kernel,
  type NormAttrs,
  runKernel,
} from './kernels.js';
import { isMissing } from './missing-gradient.js';

type GradientFunction = Parameters<typeof tf.registerGradient>[0]['gradFunc'];
type Gradients = ReturnType<GradientFunction>;
type Attrs = Parameters<GradientFunction>[2];

/** Names the outputs of a backward kernel after the inputs whose gradients they are. */
function named(names: readonly string[], gradients: readonly tf.Tensor[]): Gradients {
  return Object.fromEntries(names.map((name, i) => [name, () => gradients[i]!]));
}

/** The gradient of the first output; the others (what a kernel keeps for its gradient) have none of their own. */
function first(dy: tf.Tensor | tf.Tensor[]): tf.Tensor {
  return Array.isArray(dy) ? dy[0]! : dy;
}

function linearGradient(dy: tf.Tensor | tf.Tensor[], saved: tf.Tensor[], attrs: Attrs): Gradients {
  const [x, w, b] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
  const inputs = { dy: first(dy), x, w, b };
  return named(['x', 'w', 'b'], runKernel<tf.Tensor[]>(Kernel.linearGradient, inputs, attrs));
}

function feedForwardGradient(dy: tf.Tensor | tf.Tensor[], saved: tf.Tensor[], attrs: Attrs): Gradients {
  const { activation, hasTape } = attrs as FeedForwardAttrs;
  assert(hasTape, 'feedForward was run without a tape, and has no gradient');
  const names = ['x', 'w1', 'b1', 'w2', 'b2'];
  const kept = [...names, 'hidden', ...(activation === 'relu' ? [] : ['z'])];
  const inputs = { dy: first(dy), ...Object.fromEntries(kept.map((name, i) => [name, saved[i]!])) };
  return named(names, runKernel<tf.Tensor[]>(Kernel.feedForwardGradient, inputs, attrs));
}

function addDropoutNormGradient(dy: tf.Tensor | tf.Tensor[], saved: tf.Tensor[], attrs: Attrs): Gradients {
  const [dSum, dNormed, dOperand] = dy as tf.Tensor[];
  const [gamma, beta, sum, stats] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const inputs: Record<string, tf.Tensor> = { sum, gamma, beta, stats };
  if (!isMissing(dSum!)) inputs.dSum = dSum!;
  if (!isMissing(dNormed!)) inputs.dy = dNormed!;
  if (!isMissing(dOperand!)) inputs.dOperand = dOperand!;
  else if (isMissing(dNormed!)) inputs.dy = tf.zerosLike(sum);
  const gradients = runKernel<tf.Tensor[]>(Kernel.addDropoutNormGradient, inputs, {
    dropout: (attrs as NormAttrs).dropout,
  });
  return named(['residual', 'x', 'gamma', 'beta'], gradients);
}

function crossEntropyGradient(dy: tf.Tensor | tf.Tensor[], saved: tf.Tensor[], attrs: Attrs): Gradients {
  const [hidden, table, lossRows, labels, dLogits] = saved as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  const inputs = { dy: first(dy), dLogits, hidden, table, lossRows, labels };
  const { smoothing } = attrs as CrossEntropyAttrs;
  return named(
    ['hidden', 'table'],
    runKernel<tf.Tensor[]>(Kernel.crossEntropyGradient, inputs, { smoothing }),
  );
}

/** Registers every gradient with tfjs; registering again changes nothing. */
export function registerGradients(): void {
  registerLinear();
  registerAttention();
  registerNorms();
  tf.registerGradient({
    kernelName: Kernel.embedding,
    inputsToSave: ['table', 'ids'],
    gradFunc: (dy, [table, ids], attrs) => {
      const inputs = { dy: first(dy), table: table!, ids: ids! };
      const dTable = runKernel<tf.Tensor>(Kernel.embeddingGradient, inputs, attrs);
      return { table: () => dTable };
    },
  });
  tf.registerGradient({
    kernelName: Kernel.crossEntropy,
    inputsToSave: ['hidden', 'table', 'lossRows', 'labels'],
    outputsToSave: [false, false, true],
    gradFunc: crossEntropyGradient,
  });
}

function registerLinear(): void {
  tf.registerGradient({
    kernelName: Kernel.linear,
    inputsToSave: ['x', 'w', 'b'],
    gradFunc: linearGradient,
  });
  tf.registerGradient({
    kernelName: Kernel.feedForward,
    inputsToSave: ['x', 'w1', 'b1', 'w2', 'b2'],
    outputsToSave: [false, true, true],
    gradFunc: feedForwardGradient,
  });
}

function registerAttention(): void {
  tf.registerGradient({
    kernelName: Kernel.selfAttention,
    inputsToSave: ['qkv', 'lengths'],
    outputsToSave: [true, true],
    gradFunc: (dy, saved, attrs) => {
      const [qkv, lengths, out, logSum] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const inputs = { dy: first(dy), qkv, lengths, out, logSum };
      const dQkv = runKernel<tf.Tensor>(Kernel.selfAttentionGradient, inputs, attrs);
      return { qkv: () => dQkv };
    },
  });
  tf.registerGradient({
    kernelName: Kernel.crossAttention,
    inputsToSave: ['q', 'kv', 'lengths'],
    outputsToSave: [true, true],
    gradFunc: (dy, saved, attrs) => {
      const [q, kv, lengths, out, logSum] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const inputs = { dy: first(dy), q, kv, lengths, out, logSum };
      return named(['q', 'kv'], runKernel<tf.Tensor[]>(Kernel.crossAttentionGradient, inputs, attrs));
    },
  });
}

function registerNorms(): void {
  tf.registerGradient({
    kernelName: Kernel.addDropoutNorm,
    inputsToSave: ['gamma', 'beta'],
    outputsToSave: [true, false, false, true],
    gradFunc: addDropoutNormGradient,
  });
  tf.registerGradient({
    kernelName: Kernel.layerNorm,
    inputsToSave: ['x', 'gamma', 'beta'],
    outputsToSave: [false, true],
    gradFunc: (dy, saved) => {
      const [x, gamma, beta, stats] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const inputs = { dy: first(dy), x, gamma, beta, stats };
      return named(['x', 'gamma', 'beta'], runKernel<tf.Tensor[]>(Kernel.layerNormGradient, inputs, {}));
    },
  });
}
