// How the activations of a kernel's case are stored: as float32, or as bfloat16.
import type { Precision } from '../../../src/engine/names.js';

/** Filled with NaN, so that an element which a kernel forgets to write is seen. */
export function fresh(count: number): Float32Array {
  return new Float32Array(count).fill(NaN);
}

export type Stored = Float32Array | Uint16Array;

export type Format = 'float32' | 'bfloat16';

/** How activations are stored, and what the products of a call take. */
export interface Formats {
  readonly precision: Precision;
  /** Of all but a linear layer's inputs. */
  readonly stored: Format;
  /** Of a linear layer's inputs. */
  readonly inputs: Format;
}
export const FORMATS: readonly Formats[] = [
  { precision: 'float32', stored: 'float32', inputs: 'float32' },
  { precision: 'bfloat16x3', stored: 'float32', inputs: 'float32' },
  { precision: 'bfloat16x6', stored: 'float32', inputs: 'float32' },
  { precision: 'bfloat16', stored: 'float32', inputs: 'float32' },
  { precision: 'bfloat16', stored: 'bfloat16', inputs: 'bfloat16' },
];
/** Behind a norm, and before the model's end. */
export const LINEAR_FORMATS: readonly Formats[] = [
  ...FORMATS,
  { precision: 'bfloat16', stored: 'bfloat16', inputs: 'float32' },
  { precision: 'bfloat16', stored: 'float32', inputs: 'bfloat16' },
];

export const nameOf = ({ precision, stored, inputs }: Formats): string =>
  `${precision}${stored === precision ? '' : ` of ${stored}`}${inputs === stored ? '' : ` with inputs of ${inputs}`}`;

/** `values` as they are stored, a bfloat16 being the upper half of the nearest float32 that ends in zeros. */
export function storedAs(stored: Format, values: Float32Array): Stored {
  if (stored === 'float32') return values;
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

/** Room for activations, filled with NaN. */
export function room(stored: Format, count: number): Stored {
  return stored === 'float32' ? fresh(count) : new Uint16Array(count).fill(0x7fc0);
}

export function numbersOf(values: Stored): Float32Array {
  if (values instanceof Float32Array) return values;
  return new Float32Array(Uint32Array.from(values, (half) => half << 16).buffer);
}
