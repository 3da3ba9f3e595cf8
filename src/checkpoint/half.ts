// Float formats of foreign checkpoints, widened to float32.

import type { Dtype } from './safetensors-header.js';

/** IEEE 754 binary16, as its 16 bits, to a number: exact. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Converts little-endian `bytes` of `dtype` into `out`; false when the dtype is not a float format we read. */
export function widen(dtype: Dtype, bytes: Uint8Array, out: Float32Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case 'BF16': {
      const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
      for (let i = 0; i < out.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return true;
    }
    case 'F16':
      for (let i = 0; i < out.length; i++) out[i] = fromFloat16(view.getUint16(2 * i, true));
      return true;
    case 'F64':
      for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
      return true;
    default:
      return false;
  }
}
