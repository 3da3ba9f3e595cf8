// The precision of matrix products, and what this machine can do of it.
import { UserError } from '../util/errors.js';
import type { Precision } from './names.js';
import type { AddonInfo, InstructionSet } from './native/addon.js';

export interface PrecisionOptions {
  readonly precision: Precision;
  /** Compute products of bfloat16 with the bits of AVX512_BF16 whatever the processor has: slowly without it, and without AMX. */
  readonly emulate: boolean;
}

/** The instruction sets that a precision is fast on. Several products for one pay only where they are ten times as fast. */
const MADE_FOR: Readonly<Record<Precision, readonly InstructionSet[] | 'all'>> = {
  float32: 'all',
  bfloat16: ['avx512bf16', 'amx'],
  bfloat16x3: ['amx'],
  bfloat16x6: ['amx'],
};

export function isMadeFor(precision: Precision, { isa }: Pick<AddonInfo, 'isa'>): boolean {
  const sets = MADE_FOR[precision];
  return sets === 'all' || sets.includes(isa);
}

/** Throws UserError PRECISION_UNSUPPORTED where a precision would be slow, unless it may be emulated. */
export function checkPrecision({ precision, emulate }: PrecisionOptions, info: Pick<AddonInfo, 'isa'>): void {
  if (emulate || isMadeFor(precision, info)) return;
  const { LOCKSTEP_ISA: limit } = process.env;
  const [has, needed] = precision === 'bfloat16' ? ['neither', 'AVX512_BF16 nor AMX'] : ['no', 'AMX'];
  const reason = limit
    ? `LOCKSTEP_ISA=${limit} leaves ${has} ${needed}`
    : `this processor has ${has} ${needed}`;
  throw new UserError(
    'PRECISION_UNSUPPORTED',
    `precision: ${precision} cannot be computed here, since ${reason}: use precision: float32, or emulate: true to compute it slowly`,
  );
}
