// npm run simulate: many seeds on all cores, or one with a trace of everything that happens.
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../../src/util/errors.js';
import { Cluster } from './cluster.js';
import { randomScenario } from './scenario.js';
import { replayCommand, simulate } from './simulate.js';

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('Expected a whole number.');
  return value;
}

/** A failure's message, and how to see it again. */
function reportFailure(seed: number, message: string): void {
  console.error(`seed ${seed} fails: ${message}\nreplay it: ${replayCommand(seed)}`);
  process.exitCode = 1;
}

async function runOne(seed: number, trace: boolean): Promise<void> {
  const print = (time: number, line: string): void => console.log(`${(time / 1000).toFixed(4)} ${line}`);
  const cluster = new Cluster(randomScenario(seed), trace ? print : undefined);
  try {
    await cluster.run();
    console.log(`seed ${seed} passes: ${cluster.events} events, ${(cluster.clock.now / 1000).toFixed(1)} s`);
  } catch (error) {
    console.error(error);
    reportFailure(seed, messageOf(error));
  }
}

async function runMany(from: number, count: number, threads: number): Promise<void> {
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0);
  let told = 0;
  const onProgress = (seeds: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${seeds} of ${count} seeds, ${seconds()} s `);
    else if (seeds - told >= count / 10) console.error(`${(told = seeds)} of ${count} seeds, ${seconds()} s`);
  };
  const report = await simulate({ from, count, threads, onProgress });
  if (process.stderr.isTTY) process.stderr.write('\n');
  console.log(`${report.seeds} seeds, ${report.events} events, ${seconds()} s on ${threads} threads`);
  for (const [what, times] of Object.entries(report.counts).sort(([, a], [, b]) => b - a))
    console.log(`${String(times).padStart(9)}  ${what}`);
  if (report.failure) reportFailure(report.failure.seed, report.failure.message);
}

const program = new Command('simulate')
  .description('Runs the state machines of coordinator, reducers and workers under seeded faults.')
  .option('--seeds <n>', 'how many seeds', wholeNumber, 1000)
  .option('--from <n>', 'the first of them', wholeNumber, 1)
  .option('--seed <n>', 'this seed alone', wholeNumber)
  .option('--trace', 'with --seed: print what happens')
  .option('--threads <n>', 'threads', wholeNumber, availableParallelism())
  .parse();
const options = program.opts<{
  seeds: number;
  from: number;
  seed?: number;
  trace?: boolean;
  threads: number;
}>();
if (options.seed !== undefined) await runOne(options.seed, options.trace ?? false);
else await runMany(options.from, options.seeds, Math.max(1, options.threads));
