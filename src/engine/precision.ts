// The precision of matrix products, and what this machine can do of it.
import { UserError } from '../util/errors.js';
import type { Precision } from './names.js';
import type { AddonInfo, PrecisionCode } from './native/addon.js';

export interface PrecisionOptions {
  readonly precision: Precision;
  /** Compute bfloat16 in float32, slowly, where the processor has no instruction for it. */
  readonly emulate: boolean;
}

/**
 * How the products of a run are computed on this machine.
 * Throws UserError PRECISION_UNSUPPORTED for bfloat16 where nothing multiplies it, unless it may be emulated.
 */
export function productPrecision(
  { precision, emulate }: PrecisionOptions,
  { bfloat16, matmul }: AddonInfo,
): keyof typeof PrecisionCode {
  if (precision === 'float32' || bfloat16) return precision;
  if (emulate) return 'emulated';
  const lacking =
    matmul === 'portable' ? 'this build has no oneDNN' : 'this processor has no AVX512_BF16 instructions';
  throw new UserError(
    'PRECISION_UNSUPPORTED',
    `precision: bfloat16 cannot be computed here, since ${lacking}: use precision: float32, or emulate: true to compute it slowly`,
  );
}
