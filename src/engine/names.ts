// The words for engines and precisions, as configs, messages and options spell them.

/** `native` is the default; `tensorflow` is there where `lockstep setup tensorflow` has built it. */
export const engineNames = ['native', 'tensorflow'] as const;
export type EngineName = (typeof engineNames)[number];

/** What matrix products take. With bfloat16 their sums, and everything else, stay float32. */
export const precisions = ['float32', 'bfloat16'] as const;
export type Precision = (typeof precisions)[number];
