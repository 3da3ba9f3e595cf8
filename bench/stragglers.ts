// What one slow worker of four costs a step: three equal workers alone, and the same three with a fourth ten times slower.
// Real processes and sockets; the workers sleep instead of computing, so that two cores serve four.
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { table } from '../src/util/table.js';
import { isCommit } from './support/log-lines.js';
import { recordsOf } from './support/run-metrics.js';
import { mean } from './support/statistics.js';
import { withTemporaryFolder } from './support/temporary-folder.js';
import { prepareTinyData, TinyRun } from './support/tiny-run.js';

const GOAL = 1.35;
const HEALTHY = ['a', 'b', 'c'];
const SLOWER = 10;

interface Options {
  readonly microBatches: number;
  readonly steps: number;
  readonly warmUp: number;
  readonly sleep: number;
  readonly atMost?: number;
  readonly json?: boolean;
}

interface Result {
  readonly microBatches: number;
  /** Seconds of each measured step: of the three healthy workers, and with the slow one. */
  readonly three: readonly number[];
  readonly four: readonly number[];
  readonly ratio: number;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('stragglers')
    .description('what a worker ten times slower than three others costs a step')
    .option('--micro-batches <n>', 'micro-batches of a step', integerArgument(1, 1024), 12)
    .option('--steps <n>', 'steps of each run', integerArgument(2, 10_000), 16)
    .option('--warm-up <n>', 'first steps of each run that are left out', integerArgument(1, 10_000), 4)
    .option('--sleep <ms>', 'what a healthy worker takes for a micro-batch', integerArgument(1), 120)
    .option('--at-most <ratio>', 'fail when a step takes longer', numberArgument(0))
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
      if (result.ratio > (options.atMost ?? Infinity)) {
        throw new Error(`expected at most ${options.atMost} times the step, got ${result.ratio.toFixed(2)}`);
      }
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  return withTemporaryFolder(async (folder) => {
    await prepareTinyData(folder, signal);
    const healthy = HEALTHY.map((name) => [name, options.sleep] as const);
    const three = await stepSeconds(options, folder, 'three', healthy, signal);
    const slow = ['slow', SLOWER * options.sleep] as const;
    const four = await stepSeconds(options, folder, 'four', [slow, ...healthy], signal);
    return { microBatches: options.microBatches, three, four, ratio: mean(four) / mean(three) };
  });
}

async function stepSeconds(
  { microBatches, steps, warmUp }: Options,
  folder: string,
  name: string,
  workers: readonly (readonly [string, number])[],
  signal: AbortSignal,
): Promise<number[]> {
  const run = new TinyRun({ folder, name, microBatches, steps: 1_000_000, signal });
  try {
    await run.start();
    for (const [worker, sleepMs] of workers) run.join(worker, sleepMs);
    await Promise.all(workers.map(([worker]) => run.joined(worker, 0)));
    const first = Number((await run.leased(0))['step']) + warmUp;
    await run.happened(`step ${first + steps} is committed`, 0, isCommit(first + steps));
    const committed = await recordsOf(run.directory, 'stepCommitted');
    return committed
      .filter(({ step }) => step >= first && step < first + steps)
      .map(({ seconds }) => seconds);
  } finally {
    await run.close();
  }
}

function describe({ microBatches, three, four, ratio }: Result): string {
  const row = (name: string, seconds: readonly number[]): string[] => [
    name,
    mean(seconds).toFixed(3),
    `${Math.min(...seconds).toFixed(3)}-${Math.max(...seconds).toFixed(3)}`,
  ];
  return [
    `${microBatches} micro-batches a step`,
    table([['', 's a step', 'range'], row('3 workers', three), row('and one 10 times slower', four)]),
    `ratio ${ratio.toFixed(2)}, goal at most ${GOAL}: ${ratio <= GOAL ? 'met' : 'missed'}`,
  ].join('\n');
}
