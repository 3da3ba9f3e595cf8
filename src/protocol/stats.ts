// Forward results on the wire: the payload of `computed` and `evaluated`, four float64 per micro-batch.
import { ProtocolError } from './frames.js';

/** What a forward pass told about one micro-batch. */
export interface BatchStats {
  readonly loss: number; // summed over the target tokens, nats; may be non-finite
  readonly tokens: number; // target tokens that carry loss
  readonly correct: number; // of which the largest logit was right
  readonly sourceTokens: number;
}

export function encodeStats(stats: readonly BatchStats[]): Uint8Array {
  const numbers = stats.flatMap(({ loss, tokens, correct, sourceTokens }) => [
    loss,
    tokens,
    correct,
    sourceTokens,
  ]);
  return new Uint8Array(Float64Array.from(numbers).buffer);
}

/** Throws ProtocolError unless counts are counts, and such as a micro-batch of at most `maxTokens` can have. */
export function decodeStats(payload: Uint8Array, maxTokens = Infinity): BatchStats[] {
  if (payload.length === 0 || payload.length % 32 !== 0) {
    throw new ProtocolError(`expected 32 bytes of results per micro-batch, got ${payload.length} bytes`);
  }
  const numbers = new Float64Array(Uint8Array.from(payload).buffer); // a Buffer's slice() would be no copy
  return Array.from({ length: numbers.length / 4 }, (_, i) => {
    const [loss, tokens, correct, sourceTokens] = numbers.subarray(i * 4, i * 4 + 4) as unknown as number[];
    for (const count of [tokens!, correct!, sourceTokens!]) {
      if (!Number.isSafeInteger(count) || count < 0)
        throw new ProtocolError(`expected a count, got ${count}`);
    }
    if (tokens! > maxTokens || correct! > tokens!)
      throw new ProtocolError(`got ${correct} of ${tokens} tokens right, of at most ${maxTokens}`);
    return { loss: loss!, tokens: tokens!, correct: correct!, sourceTokens: sourceTokens! };
  });
}
