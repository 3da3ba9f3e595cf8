// Runs decoders over mutated inputs in processes of their own, with little memory, and under watch.
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { decoderOf, inputOf } from './inputs.js';
import type { Decoder } from './decoder.js';
import type { Plan, Verdict } from './process.js';

const PROCESS = fileURLToPath(new URL('./process.js', import.meta.url));
/** JavaScript's heap, megabytes: an input that makes more of itself than that ends the process. */
const HEAP_MB = 256;
/** An input that keeps the process for this long hangs; those that are merely slow are told by processor time. */
const HANG_MS = 30_000;

export interface Failure extends Verdict {
  readonly input: Uint8Array;
}

/** How many of `total` inputs are each decoder's. */
export function planOf(chosen: readonly Decoder[], total: number): Plan {
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  return chosen.map(({ name, share }) => ({ decoder: name, inputs: Math.ceil((total * share) / shares) }));
}

/** The first input of each decoder that is not decoded or refused as it should be. */
export async function fuzz(plan: Plan, seed: number): Promise<Failure[]> {
  const verdicts: Verdict[] = [];
  // A process that dies takes the decoder it was at with it; those after it get another.
  for (let left = plan; left.length > 0;) {
    const end = await watch(left, seed, (verdict) => verdicts.push(verdict));
    left = end === null ? [] : left.slice(end + 1);
  }
  return verdicts.map((verdict) => ({
    ...verdict,
    input: inputOf(decoderOf(verdict.decoder), seed, verdict.index),
  }));
}

/** Returns the number of the plan's decoder at which the process died; null when it came to its end. */
async function watch(plan: Plan, seed: number, found: (verdict: Verdict) => void): Promise<number | null> {
  const folder = mkdtempSync(path.join(tmpdir(), 'lockstep-fuzz-'));
  const progress = path.join(folder, 'progress');
  const at = (): readonly number[] => {
    const bytes = readFileSync(progress, { flag: 'a+' });
    return bytes.length < 16 ? [0, 0] : [bytes.readDoubleLE(0), bytes.readDoubleLE(8)];
  };
  const child = fork(PROCESS, [JSON.stringify(plan), String(seed), progress], {
    execArgv: [`--max-old-space-size=${HEAP_MB}`, '--enable-source-maps'],
  });
  child.on('message', (message) => found(message as Verdict));
  let last = '';
  const timer = setInterval(() => {
    if (String(at()) === last) child.kill('SIGKILL');
    last = String(at());
  }, HANG_MS);
  try {
    const end = await new Promise<string | null>((resolve) =>
      child.once('exit', (code, signal) => resolve(code === 0 ? null : (signal ?? `exit code ${code}`))),
    );
    if (end === null) return null;
    const [number = 0, index = 0] = at();
    found({ decoder: plan[number]!.decoder, index, problem: `the process ended with ${end}` });
    return number;
  } finally {
    clearInterval(timer);
    rmSync(folder, { recursive: true, force: true });
  }
}
