// `npm run fuzz`: more inputs than the test's, another seed, one decoder, or one input again.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fuzz, planOf, type Failure } from './fuzz.js';
import { decoderOf, decoders } from './inputs.js';
import { problemOf } from './process.js';

const FOLDER = path.join('build', 'fuzz');

const { values } = parseArgs({
  options: {
    decoder: { type: 'string' },
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    input: { type: 'string' },
  },
});

/** Writes the input to a file and says how to have it again. */
function report({ decoder, input, index, problem }: Failure): void {
  mkdirSync(FOLDER, { recursive: true });
  const name = `${decoder}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`;
  const file = path.join(FOLDER, name);
  writeFileSync(file, input);
  console.error(`\n${decoder}, input ${index}: ${problem}`);
  console.error(`again: npm run fuzz -- --decoder ${decoder} --input ${file}`);
}

const chosen = values.decoder === undefined ? decoders : [decoderOf(values.decoder)];
if (values.input !== undefined) {
  if (values.decoder === undefined) throw new Error('--input needs --decoder');
  const problem = await problemOf(chosen[0]!, readFileSync(values.input));
  console.error(problem ?? 'decoded, or refused as it should be');
  process.exitCode = problem === null ? 0 : 1;
} else {
  console.error(`seed ${values.seed}`);
  const failures = await fuzz(planOf(chosen, Number(values.inputs)), Number(values.seed));
  for (const failure of failures) report(failure);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
