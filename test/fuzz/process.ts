// A process that decodes one input after another. It says which it is at by a number in a file, so that whoever
// watches knows the input also when the process dies or hangs. Arguments: plan, seed, progress file.
import { openSync, writeSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { decoderOf, inputOf } from './inputs.js';
import { isRefusal, type Decoder } from './decoder.js';

/** What decoding may leave behind before a collection: far above what the largest input needs. */
const MAX_BYTES = 64 * 2 ** 20;
/** Of processor time. */
const MAX_MS = 2000;

export interface Verdict {
  readonly decoder: string;
  readonly index: number;
  readonly problem: string;
}

function allocated(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

/** What is wrong with how an input was decoded; null when it was decoded or refused. */
export async function problemOf(decoder: Decoder, input: Uint8Array): Promise<string | null> {
  const [bytes, started] = [allocated(), performance.now()];
  const processor = process.cpuUsage();
  try {
    await decoder.decode(input);
  } catch (error) {
    if (!isRefusal(error)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const grown = allocated() - bytes;
  if (grown > MAX_BYTES) return `it allocated ${grown} bytes`;
  if (performance.now() - started < MAX_MS) return null;
  const { user, system } = process.cpuUsage(processor);
  return (user + system) / 1000 > MAX_MS ? `it took ${(user + system) / 1000} ms of the processor` : null;
}

/** Of what a process works off: so many inputs of a decoder. */
export type Plan = readonly { readonly decoder: string; readonly inputs: number }[];

async function main([plan, seed, progress]: string[]): Promise<void> {
  const descriptor = openSync(progress!, 'w');
  const position = new Float64Array(2);
  for (const [number, { decoder: name, inputs }] of (JSON.parse(plan!) as Plan).entries()) {
    const decoder = decoderOf(name);
    for (let index = 0; index < inputs; index++) {
      position.set([number, index]);
      writeSync(descriptor, position, 0, position.byteLength, 0);
      const problem = await problemOf(decoder, inputOf(decoder, Number(seed), index));
      if (problem === null) continue;
      process.send!({ decoder: name, index, problem } satisfies Verdict);
      break;
    }
  }
}

if (process.send) {
  process.removeAllListeners('warning'); // of the YAML that is read
  await main(process.argv.slice(2));
  process.disconnect();
}
