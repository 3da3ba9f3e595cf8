// What the fuzzer needs to know of a decoder.
import { ProtocolError } from '../../src/protocol/frames.js';
import { UserError } from '../../src/util/errors.js';
import type { Corpus } from './mutate.js';

export interface Decoder extends Corpus {
  readonly name: string;
  /** Inputs of a run, in relation to those of other decoders: fewer where one costs more. */
  readonly share: number;
  /** Takes any bytes; throws nothing but a refusal. */
  decode(input: Uint8Array): unknown;
}

/** The two ways in which what came from outside is refused. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ProtocolError || error instanceof UserError;
}

export function textOf(input: Uint8Array): string {
  return Buffer.from(input).toString('utf8');
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
