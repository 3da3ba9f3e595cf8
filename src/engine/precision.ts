// The precision of matrix products, and what this machine can do of it.
import { UserError } from '../util/errors.js';
import type { Precision } from './names.js';
import type { AddonInfo } from './native/addon.js';

export interface PrecisionOptions {
  readonly precision: Precision;
  /** Compute bfloat16 with the bits of AVX512_BF16 whatever the processor has: slowly without it, and without AMX. */
  readonly emulate: boolean;
}

export function multipliesBfloat16({ isa }: Pick<AddonInfo, 'isa'>): boolean {
  return isa === 'avx512bf16' || isa === 'amx';
}

/** Throws UserError PRECISION_UNSUPPORTED for bfloat16 where no instruction multiplies it, unless it may be emulated. */
export function checkPrecision({ precision, emulate }: PrecisionOptions, info: Pick<AddonInfo, 'isa'>): void {
  if (precision === 'float32' || emulate || multipliesBfloat16(info)) return;
  const { LOCKSTEP_ISA: limit } = process.env;
  const reason = limit
    ? `LOCKSTEP_ISA=${limit} leaves neither AVX512_BF16 nor AMX`
    : 'this processor has neither AVX512_BF16 nor AMX';
  throw new UserError(
    'PRECISION_UNSUPPORTED',
    `precision: bfloat16 cannot be computed here, since ${reason}: use precision: float32, or emulate: true to compute it slowly`,
  );
}
