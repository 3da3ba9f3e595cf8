// What products of bfloat16 cost in quality: the quickstart's model trained on its book in float32 and in others, from the
// same weights on the same batches, and their losses on the held-out part.
import { join } from 'node:path';
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { precisions, type Precision } from '../src/engine/names.js';
import { loadAddon } from '../src/engine/native/load.js';
import { isMadeFor } from '../src/engine/precision.js';
import { packageRoot } from '../src/util/package.js';
import { table } from '../src/util/table.js';
import { oneOrMoreOf } from './support/list-option.js';
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

/** What float32 is compared with. */
const OTHERS = precisions.filter((precision) => precision !== 'float32');

interface Options {
  readonly precisions: readonly Precision[];
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

/** Of each seed, in the order of the versions evaluated. */
type Evaluations = readonly (readonly Evaluation[])[];

interface Compared {
  readonly precision: Precision;
  readonly evaluations: Evaluations;
  /** Of the last ones, by seed: over float32's, minus 1. */
  readonly differences: readonly number[];
  /** Of the means over the seeds. */
  readonly difference: number;
}

interface Result {
  readonly steps: number;
  readonly float32: Evaluations;
  readonly others: readonly Compared[];
  /** How far seeds alone take float32's last loss apart: its standard deviation over its mean. NaN of one seed. */
  readonly seedDeviation: number;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('precision')
    .description("validation loss of the quickstart's model trained in bfloat16 and others against float32")
    .option('--precisions <names>', `of ${OTHERS.join(',')}`, oneOrMoreOf(OTHERS), ['bfloat16'])
    .option('--steps <n>', 'steps of each run', integerArgument(1, 1_000_000), 2000)
    .option('--seeds <n>', 'runs in each precision, each with a seed of its own', integerArgument(1, 100), 1)
    .option('--workers <n>', 'workers of each run', integerArgument(1, 64), 2)
    .option('--at-most <share>', 'fail when the mean losses differ by more, as a share', numberArgument(0))
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
      for (const { precision, difference } of result.others) {
        if (Math.abs(difference) <= (options.atMost ?? Infinity)) continue;
        const allowed = percent(options.atMost!, 2);
        throw new Error(`${precision}: expected a loss within ${allowed}, got ${signed(difference)}`);
      }
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  return withTemporaryFolder(async (folder) => {
    const data = join(folder, 'data');
    await lockstepOutput(['prepare', BOOK, '--out', data, ...PREPARE, '--json'], { signal });
    const trained = new Map<Precision, Evaluation[][]>();
    for (let seed = 1; seed <= options.seeds; seed++) {
      for (const precision of ['float32', ...options.precisions] as const) {
        const evaluations = await train(folder, data, precision, seed, options, signal);
        trained.set(precision, [...(trained.get(precision) ?? []), evaluations]);
      }
    }
    const float32 = trained.get('float32')!;
    const exact = lastLosses(float32);
    const others = options.precisions.map((precision): Compared => {
      const evaluations = trained.get(precision)!;
      const losses = lastLosses(evaluations);
      return {
        precision,
        evaluations,
        differences: losses.map((loss, i) => loss / exact[i]! - 1),
        difference: mean(losses) / mean(exact) - 1,
      };
    });
    return {
      steps: options.steps,
      float32,
      others,
      seedDeviation: standardDeviation(exact) / mean(exact),
    };
  });
}

function lastLosses(evaluations: Evaluations): number[] {
  return evaluations.map((ofSeed) => ofSeed.at(-1)!.loss);
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
    ...{ data, steps, precision, seed, emulate: !isMadeFor(precision, loadAddon().info()) },
    'evaluate.every': Math.max(1, Math.floor(steps / 4)),
    'evaluate.batches': VALIDATION_BATCHES,
    'checkpoint.every': steps,
  };
  const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  const args = ['train', CONFIG, '--workers', String(workers), '--run', run, '--json', ...sets];
  await lockstepOutput(args, { signal });
  return (await recordsOf(run, 'evaluated')).map(({ version, loss }) => ({ version, loss }));
}

function describe({ float32, others, seedDeviation }: Result): string {
  const rows = float32.flatMap((ofSeed, seed) =>
    ofSeed.map(({ version, loss }, i) => {
      const losses = others.flatMap(({ evaluations }) => {
        const other = evaluations[seed]![i]!.loss;
        return [other.toFixed(4), signed(other / loss - 1)];
      });
      return [String(seed + 1), String(version), loss.toFixed(4), ...losses];
    }),
  );
  const columns = others.flatMap(({ precision }) => [precision, 'difference']);
  const noise = Number.isNaN(seedDeviation)
    ? []
    : [`seeds alone take float32's apart by ${percent(seedDeviation, 2)} (standard deviation)`];
  const means = others.map(({ precision, difference }) => `${precision} ${signed(difference)}`);
  return [
    'validation loss, nats per hidden token',
    table([['seed', 'step', 'float32', ...columns], ...rows]),
    [`after the last step, of the mean: ${means.join(', ')}`, ...noise].join('; '),
  ].join('\n');
}

function signed(share: number): string {
  return `${share < 0 ? '' : '+'}${percent(share, 2)}`;
}
