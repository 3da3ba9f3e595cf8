// The addon's arithmetic in plain TypeScript: float32 additions rounded one by one, so that sums that were added
// in another order have other bits.
import type { AdamWSpec } from '../../src/engine/native/addon.js';
import type { Arithmetic } from '../../src/coordinator/reducer/arithmetic.js';
import { adamWReference } from '../../src/optim/adamw.js';
import type { HostArithmetic } from '../../src/engine/gradient-memory.js';

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The nearest bfloat16, ties to even, as a float32. */
export function toBfloat16(value: number): number {
  if (Number.isNaN(value)) return NaN;
  float[0] = value;
  word[0] = (word[0]! + 0x7fff + ((word[0]! >>> 16) & 1)) & 0xffff0000;
  return float[0];
}

export function packBfloat16(values: Float32Array): Uint16Array {
  const packed = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i]!;
    packed[i] = word[0]! >>> 16;
  }
  return packed;
}

export const arithmetic: Arithmetic & HostArithmetic = {
  add(out: Float32Array, a: Float32Array, b: Float32Array, count: number, bfloat16: boolean): void {
    for (let i = 0; i < count; i++) {
      const sum = Math.fround(a[i]! + b[i]!);
      out[i] = bfloat16 ? toBfloat16(sum) : sum;
    }
  },
  roundToBfloat16(values: Float32Array, count: number): void {
    for (let i = 0; i < count; i++) values[i] = toBfloat16(values[i]!);
  },
  unpackBfloat16(values: Uint16Array, out: Float32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      word[0] = values[i]! << 16;
      out[i] = float[0]!;
    }
  },
  sumOfSquares(values: Float32Array, count: number): number {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += values[i]! * values[i]!;
    return sum;
  },
  adamW(
    parameters: Float32Array,
    moment1: Float32Array,
    moment2: Float32Array,
    gradient: Float32Array,
    _count: number,
    undecayed: Int32Array,
    spec: AdamWSpec,
  ): void {
    adamWReference(parameters, moment1, moment2, gradient, undecayed, spec);
  },
  settle: () => undefined,
};

/** The vector's bits as text: equal for equal bits only. */
export function bitsOf(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
}

/** Whether `part` holds what `whole` holds from `offset` on; NaN is NaN, -0 is not 0. */
export function isPartOf(part: Float32Array, whole: Float32Array, offset: number): boolean {
  for (let i = 0; i < part.length; i++) if (!Object.is(part[i], whole[offset + i])) return false;
  return true;
}
