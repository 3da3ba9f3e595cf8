// Clipping by the global norm.

/** Keeps the division finite; torch.nn.utils.clip_grad_norm_ has the same. */
const NORM_OFFSET = 1e-6;

/**
 * What the gradient is multiplied by so that its norm is at most `clipNorm`: clipNorm / (norm + 1e-6), at most 1,
 * as torch.nn.utils.clip_grad_norm_ computes it. `norm` is the mean gradient's over all parameters; null: never clipped.
 */
export function clipScale(norm: number, clipNorm: number | null): number {
  if (clipNorm === null) return 1;
  return Math.min(1, clipNorm / (norm + NORM_OFFSET));
}
