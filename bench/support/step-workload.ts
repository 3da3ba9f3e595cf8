// What `bench engine` and `bench gpu` train: its sizes, and the arithmetic of one training step on them.

/** One micro-batch is a step. Every row of the target carries loss; padding there is none. */
export interface StepWorkload {
  readonly name: string;
  /** Of the encoder, and again of the decoder. */
  readonly layers: number;
  readonly width: number; // d
  readonly heads: number;
  readonly feedForward: number; // F
  readonly vocabulary: number; // V
  readonly samples: number; // B
  /** Tokens of a source, and again of a target. */
  readonly length: number; // T
}

export const SMALL: StepWorkload = {
  name: 'small',
  layers: 4,
  width: 256,
  heads: 4,
  feedForward: 1024,
  vocabulary: 8192,
  samples: 16,
  length: 128,
};
export const BASE: StepWorkload = {
  name: 'base',
  layers: 6,
  width: 512,
  heads: 8,
  feedForward: 2048,
  vocabulary: 16_384,
  samples: 8,
  length: 256,
};
/** As large as GPUs are bought for; on one card with 64 samples. */
export const BIG: StepWorkload = {
  name: 'big',
  layers: 6,
  width: 1024,
  heads: 16,
  feedForward: 4096,
  vocabulary: 32_768,
  samples: 64,
  length: 256,
};
/** Only shows that the benchmark works. */
export const QUICK: StepWorkload = {
  name: 'quick',
  layers: 1,
  width: 64,
  heads: 2,
  feedForward: 128,
  vocabulary: 512,
  samples: 2,
  length: 32,
};

/** Source and target positions of a step. */
export function tokensOf({ samples, length }: StepWorkload): number {
  return 2 * samples * length;
}

/** A linear layer's product, [m, k] · [k, n], of which a step has `count`, each with its two gradients. */
export interface LinearShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly count: number;
}

/** The products of a step outside attention, the tied output's included; equal shapes are one entry. */
export function linearShapes(workload: StepWorkload): LinearShape[] {
  const { layers, width, feedForward, vocabulary, samples, length } = workload;
  const m = samples * length;
  return [
    { m, k: width, n: 3 * width, count: 2 * layers }, // q, k and v of self-attention
    { m, k: width, n: 2 * width, count: layers }, // k and v of the decoder's attention to the source
    { m, k: width, n: width, count: 4 * layers }, // its q, and what leaves each attention
    { m, k: width, n: feedForward, count: 2 * layers },
    { m, k: feedForward, n: width, count: 2 * layers },
    { m, k: width, n: vocabulary, count: 1 },
  ];
}

/** FLOP of a shape's forward and its two gradients, all `count` of them. */
export function linearFlops({ m, k, n, count }: LinearShape): number {
  return 3 * 2 * m * k * n * count;
}

/**
 * Floating point operations of a step's matrix products, a multiplication and an addition as two. The backward counts twice
 * the forward, and a causal mask hides nothing: the model's work by convention, the same for every engine,
 * whatever one recomputes or leaves out. What is not a product (norms, softmax, AdamW) is not counted.
 */
export function stepFlops(workload: StepWorkload): number {
  const { layers, width, samples, length } = workload;
  const linear = linearShapes(workload).reduce((sum, shape) => sum + linearFlops(shape), 0);
  const scoresAndMix = 2 * (2 * samples * length * length * width); // q · kᵀ, then weights · v
  const attentions = 3 * layers; // one in an encoder's layer, two in a decoder's
  return linear + 3 * attentions * scoresAndMix;
}
