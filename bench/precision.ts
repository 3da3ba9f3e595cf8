// What bfloat16 products cost in quality: the quickstart's model trained on its book in both precisions, from the same
// weights on the same batches, and their losses on the held-out part.
import { join } from 'node:path';
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { precisions, type Precision } from '../src/engine/names.js';
import { packageRoot } from '../src/util/package.js';
import { table } from '../src/util/table.js';
import { note } from './support/note.js';
import { percent } from './support/percent.js';
import { mean, standardDeviation } from './support/statistics.js';
import { lockstepOutput } from './support/run-lockstep.js';
import { recordsOf } from './support/run-metrics.js';
import { withTemporaryFolder } from './support/temporary-folder.js';
import { BOOK } from './support/training.js';

const CONFIG = join(packageRoot, 'examples', 'quickstart.yaml');
/** As the quickstart prepares it. */
const PREPARE = ['--vocabulary', '1024', '--validation', '0.05'];
/** Enough for the whole held-out part. */
const VALIDATION_BATCHES = 128;

interface Options {
  readonly steps: number;
  readonly seeds: number;
  readonly workers: number;
  readonly atMost?: number;
  readonly json?: boolean;
}

interface Evaluation {
  readonly version: number;
  readonly loss: number;
}

type Evaluations = Readonly<Record<Precision, readonly Evaluation[]>>;

interface Result {
  readonly steps: number;
  /** By seed, in the order of the versions evaluated. */
  readonly evaluations: readonly Evaluations[];
  /** Of the last ones, by seed: bfloat16 over float32, minus 1. */
  readonly differences: readonly number[];
  /** Of the means over the seeds. */
  readonly difference: number;
  /** How far seeds alone take float32's last loss apart: its standard deviation over its mean. NaN of one seed. */
  readonly seedDeviation: number;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('precision')
    .description("validation loss of the quickstart's model trained in bfloat16 against float32")
    .option('--steps <n>', 'steps of each run', integerArgument(1, 1_000_000), 2000)
    .option('--seeds <n>', 'pairs of runs, each with a seed of its own', integerArgument(1, 100), 1)
    .option('--workers <n>', 'workers of each run', integerArgument(1, 64), 2)
    .option('--at-most <share>', 'fail when the mean losses differ by more, as a share', numberArgument(0))
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
      if (Math.abs(result.difference) > (options.atMost ?? Infinity)) {
        throw new Error(
          `expected losses within ${percent(options.atMost!, 2)}, got ${signed(result.difference)}`,
        );
      }
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  return withTemporaryFolder(async (folder) => {
    const data = join(folder, 'data');
    await lockstepOutput(['prepare', BOOK, '--out', data, ...PREPARE, '--json'], { signal });
    const evaluations: Evaluations[] = [];
    for (let seed = 1; seed <= options.seeds; seed++) {
      const of = {} as Record<Precision, Evaluation[]>;
      for (const precision of precisions)
        of[precision] = await train(folder, data, precision, seed, options, signal);
      evaluations.push(of);
    }
    const last = (precision: Precision): number[] => evaluations.map((of) => of[precision].at(-1)!.loss);
    const [exact, rounded] = [last('float32'), last('bfloat16')];
    return {
      steps: options.steps,
      evaluations,
      differences: rounded.map((loss, i) => loss / exact[i]! - 1),
      difference: mean(rounded) / mean(exact) - 1,
      seedDeviation: standardDeviation(exact) / mean(exact),
    };
  });
}

async function train(
  folder: string,
  data: string,
  precision: Precision,
  seed: number,
  { steps, workers }: Options,
  signal: AbortSignal,
): Promise<Evaluation[]> {
  note(`training ${steps} steps in ${precision}, seed ${seed}`);
  const run = join(folder, `${precision}-${seed}`);
  const settings = {
    ...{ data, steps, precision, seed, emulate: true },
    'evaluate.every': Math.max(1, Math.floor(steps / 4)),
    'evaluate.batches': VALIDATION_BATCHES,
    'checkpoint.every': steps,
  };
  const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const args = ['train', CONFIG, '--workers', String(workers), '--run', run, '--json', ...sets];
  await lockstepOutput(args, { signal });
  return (await recordsOf(run, 'evaluated')).map(({ version, loss }) => ({ version, loss }));
}

function describe({ evaluations, difference, seedDeviation }: Result): string {
  const rows = evaluations.flatMap(({ float32, bfloat16 }, seed) =>
    float32.map(({ version, loss }, i) => {
      const other = bfloat16[i]!.loss;
      return [String(seed + 1), String(version), loss.toFixed(4), other.toFixed(4), signed(other / loss - 1)];
    }),
  );
  const noise = Number.isNaN(seedDeviation)
    ? ''
    : `; seeds alone take float32's apart by ${percent(seedDeviation, 2)} (standard deviation)`;
  return [
    'validation loss, nats per hidden token',
    table([['seed', 'step', 'float32', 'bfloat16', 'difference'], ...rows]),
    `after the last step: ${signed(difference)} of the mean${noise}`,
  ].join('\n');
}

function signed(share: number): string {
  return `${share < 0 ? '' : '+'}${percent(share, 2)}`;
}
