// What a worker must know to compute any lease of a run: everything that changes a gradient's bits, and the pulse to
// keep. It travels in the coordinator's welcome, so a worker needs no files.
import { z } from 'zod';
import { precisions } from '../engine/names.js';

const size = z
  .int()
  .positive()
  .max(2 ** 31);
const id = z
  .int()
  .nonnegative()
  .max(2 ** 31);
const share = z.number().min(0).lt(1);

const model = z.object({
  vocabularySize: size,
  width: size,
  heads: size,
  feedForward: size,
  encoderLayers: size,
  decoderLayers: size,
  maxLength: size,
  dropout: share,
  norm: z.enum(['post', 'pre']),
  activation: z.enum(['relu', 'gelu', 'swish']),
  padId: id,
  endId: id,
  startId: id,
});

const objective = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('masked'),
    rate: share,
    corruption: z.enum(['token', 'span']),
    meanSpan: z.number().min(1),
    loss: z.enum(['hidden', 'all']),
  }),
  z.object({ kind: z.literal('causal') }),
  z.object({ kind: z.literal('seq2seq') }),
]);

export const jobSchema = z.object({
  seed: z.int().nonnegative(),
  model,
  objective,
  tokens: z.object({
    padId: id,
    endId: id,
    startId: id,
    maskId: id,
    vocabularySize: size,
    specialIds: z.array(id),
  }),
  /** Micro-batches of a step: the leaves of the tree. */
  microBatches: size.max(65_536),
  labelSmoothing: share,
  precision: z.enum(precisions),
  /** bfloat16 has the bits of AVX512_BF16 on every worker; otherwise those without instructions for it are refused. */
  emulate: z.boolean(),
  wire: z.enum(['float32', 'bfloat16']),
  heartbeat: z.object({ intervalMs: size, timeoutMs: size }),
});

export type Job = z.infer<typeof jobSchema>;

/** How gradients travel; with bfloat16 every gradient and every sum is rounded, wherever it stays. */
export type WireFormat = Job['wire'];

/** Of an element of a gradient on its way. */
export function bytesPerElement(wire: WireFormat): number {
  return wire === 'bfloat16' ? 2 : 4;
}
