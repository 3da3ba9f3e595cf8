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
  readonly workers: number;
  readonly atMost?: number;
  readonly json?: boolean;
}

interface Evaluation {
  readonly version: number;
  readonly loss: number;
}

interface Result {
  readonly steps: number;
  /** By precision, in the order of the versions evaluated. */
  readonly evaluations: Readonly<Record<Precision, readonly Evaluation[]>>;
  /** Of the last ones: bfloat16 over float32, minus 1. */
  readonly difference: number;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('precision')
    .description("validation loss of the quickstart's model trained in bfloat16 against float32")
    .option('--steps <n>', 'steps of each run', integerArgument(1, 1_000_000), 2000)
    .option('--workers <n>', 'workers of each run', integerArgument(1, 64), 2)
    .option('--at-most <share>', 'fail when the losses differ by more, as a share', numberArgument(0))
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

async function measure({ steps, workers }: Options, signal: AbortSignal): Promise<Result> {
  return withTemporaryFolder(async (folder) => {
    const data = join(folder, 'data');
    await lockstepOutput(['prepare', BOOK, '--out', data, ...PREPARE, '--json'], { signal });
    const evaluations = {} as Record<Precision, Evaluation[]>;
    for (const precision of precisions) {
      note(`training ${steps} steps in ${precision}`);
      const run = join(folder, precision);
      const every = Math.max(1, Math.floor(steps / 4));
      const settings = { data, steps, precision, emulate: true };
      const rare = {
        'evaluate.every': every,
        'evaluate.batches': VALIDATION_BATCHES,
        'checkpoint.every': steps,
      };
      const sets = Object.entries({ ...settings, ...rare }).flatMap(([key, value]) => [
        '--set',
        `${key}=${value}`,
      ]);
      const args = ['train', CONFIG, '--workers', String(workers), '--run', run, '--json', ...sets];
      await lockstepOutput(args, { signal });
      const evaluated = await recordsOf(run, 'evaluated');
      evaluations[precision] = evaluated.map(({ version, loss }) => ({ version, loss }));
    }
    const last = (precision: Precision): number => evaluations[precision].at(-1)!.loss;
    return { steps, evaluations, difference: last('bfloat16') / last('float32') - 1 };
  });
}

function describe({ evaluations, difference }: Result): string {
  const rows = evaluations.float32.map(({ version, loss }, i) => {
    const other = evaluations.bfloat16[i]!.loss;
    return [String(version), loss.toFixed(4), other.toFixed(4), signed(other / loss - 1)];
  });
  return [
    'validation loss, nats per hidden token',
    table([['step', 'float32', 'bfloat16', 'difference'], ...rows]),
    `after the last step: ${signed(difference)}`,
  ].join('\n');
}

function signed(share: number): string {
  return `${share < 0 ? '' : '+'}${percent(share, 2)}`;
}
