// The words for engines and precisions, as configs, messages and options spell them.

/** `native` is the default; `tensorflow` is there where `lockstep setup tensorflow` has built it. */
export const engineNames = ['native', 'tensorflow'] as const;
export type EngineName = (typeof engineNames)[number];

/** Where the native engine computes: `cuda:0` is the first CUDA device that the process may use. */
export type DeviceName = 'cpu' | `cuda:${number}`;

/** What each worker chooses for itself of an engine. */
export interface EngineChoice {
  readonly engine: EngineName;
  readonly device: DeviceName;
  /** Lets a CUDA device round the operands of float32 products to TF32, which is faster. */
  readonly tf32: boolean;
  /** Of the processor. */
  readonly threads: number;
}

/**
 * What matrix products take: numbers as they are; rounded to bfloat16, in which operands and results are stored too; or as the
 * sum of two or three bfloat16, of whose products the largest three or six are taken. Sums, parameters and the residual path are
 * float32 in all of them.
 */
export const precisions = ['float32', 'bfloat16', 'bfloat16x3', 'bfloat16x6'] as const;
export type Precision = (typeof precisions)[number];
