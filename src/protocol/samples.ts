// Samples on the wire: the payload of a lease. All numbers are int32: first the length of every sequence
// (micro-batch by micro-batch, sample by sample), then all token ids in the same order.
import { ProtocolError } from './frames.js';

/** A sample's sequences of token ids: one (text) or two (source, target). */
export type SampleIds = readonly Int32Array[];

export interface SamplesShape {
  readonly microBatches: number;
  /** Samples of a micro-batch. */
  readonly samples: number;
  readonly sequences: 1 | 2;
}

export function encodeSamples(microBatches: readonly (readonly SampleIds[])[]): Uint8Array {
  const sequences = microBatches.flat(2);
  const tokens = sequences.reduce((sum, ids) => sum + ids.length, 0);
  const payload = new Int32Array(sequences.length + tokens);
  let position = sequences.length;
  sequences.forEach((ids, i) => {
    payload[i] = ids.length;
    payload.set(ids, position);
    position += ids.length;
  });
  return new Uint8Array(payload.buffer);
}

/** Throws ProtocolError when the lengths do not add up to the payload. */
export function decodeSamples(payload: Uint8Array, shape: SamplesShape): SampleIds[][] {
  const sequences = shape.microBatches * shape.samples * shape.sequences;
  if (payload.length % 4 !== 0 || payload.length / 4 < sequences) {
    throw new ProtocolError(`expected at least ${sequences} lengths of samples, got ${payload.length} bytes`);
  }
  const numbers = new Int32Array(Uint8Array.from(payload).buffer); // a Buffer's slice() would be no copy
  let position = sequences;
  const read = (i: number): Int32Array => {
    const length = numbers[i]!;
    if (length < 0 || position + length > numbers.length)
      throw new ProtocolError('sample lengths exceed the payload');
    position += length;
    return numbers.slice(position - length, position); // sent on one by one, each without the others' memory
  };
  const decoded = Array.from({ length: shape.microBatches }, (_, m) =>
    Array.from({ length: shape.samples }, (_, s) =>
      Array.from({ length: shape.sequences }, (_, q) => read((m * shape.samples + s) * shape.sequences + q)),
    ),
  );
  if (position !== numbers.length) throw new ProtocolError('the payload is longer than its samples');
  return decoded;
}
