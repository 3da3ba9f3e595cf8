// All decoders, and their inputs: each a pure function of decoder, seed and index.
import { Random } from '../simulation/random.js';
import type { Decoder } from './decoder.js';
import { fileDecoders } from './file-decoders.js';
import { mutated, PLAIN } from './mutate.js';
import { protocolDecoders } from './protocol-decoders.js';

export const decoders: readonly Decoder[] = [...protocolDecoders, ...fileDecoders];

export function decoderOf(name: string): Decoder {
  const found = decoders.find((decoder) => decoder.name === name);
  if (found) return found;
  throw new Error(`expected one of ${decoders.map((decoder) => decoder.name).join(', ')}, got ${name}`);
}

/** The first ones are the corpus itself, and what is the same for all. */
export function inputOf(decoder: Decoder, seed: number, index: number): Uint8Array {
  const fixed = decoder.inputs[index] ?? PLAIN[index - decoder.inputs.length];
  if (fixed) return fixed;
  return mutated(decoder, new Random(Math.imul(seed, 0x9e3779b9) ^ Math.imul(index, 0x85ebca6b)));
}
