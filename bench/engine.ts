// How fast one worker computes: a training step (forward, backward, clipping, AdamW) of this engine against PyTorch's on
// this machine, against the same model on TensorFlow where that is set up, and against what the step's matrix products
// alone would take. Each is a process of its own.
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { loadAddon } from '../src/engine/native/load.js';
import { precisions } from '../src/engine/names.js';
import { isMadeFor } from '../src/engine/precision.js';
import { installedPackage } from '../src/engine/tensorflow/package.js';
import { messageOf } from '../src/util/errors.js';
import {
  ownArm,
  tfjsArm,
  torchArms,
  torchPrecisions,
  type Arm,
  type TorchPrecision,
} from './support/arms.js';
import { Deadline } from './support/deadline.js';
import { describeComparison } from './support/engine-report.js';
import { oneOrMoreOf } from './support/list-option.js';
import { note } from './support/note.js';
import { OneDnnRate } from './support/onednn-rate.js';
import { compareSteps, type Comparison } from './support/step-comparison.js';
import { BASE, QUICK, SMALL, type StepWorkload } from './support/step-workload.js';

const WORKLOADS = [SMALL, BASE];

interface Options {
  readonly workloads: readonly string[];
  readonly precisions: readonly TorchPrecision[];
  readonly threads?: readonly number[];
  readonly rounds?: number;
  readonly steps?: number;
  readonly budget: number;
  readonly python: string;
  /** --no-torch: false */
  readonly torch: boolean;
  readonly profile?: boolean;
  readonly quick?: boolean;
  readonly json?: boolean;
}

interface Result {
  readonly cores: number;
  readonly comparisons: readonly Comparison[];
}

export function register(program: Command, signal: AbortSignal): void {
  const names = WORKLOADS.map(({ name }) => name);
  program
    .command('engine')
    .description("one worker's training step: this engine, PyTorch, and the matrix products alone")
    .option('--workloads <names>', `of ${names.join(',')}`, oneOrMoreOf(names), names)
    .option('--precisions <names>', `of ${torchPrecisions.join(',')}`, oneOrMoreOf(torchPrecisions), [
      ...torchPrecisions,
    ])
    .option(
      '--threads <list>',
      'numbers of threads (default: 1 and 2, where there are 2 cores)',
      threadCounts,
    )
    .option('--rounds <n>', 'measurements of each (default: 3; with --quick 1)', integerArgument(1, 1000))
    .option('--steps <n>', 'steps of a measurement (default: 2 of small, else 1)', integerArgument(1, 1000))
    .option('--budget <seconds>', 'nothing further is begun that would end later', numberArgument(0), 400)
    .option('--python <path>', 'a Python that has torch', 'python3')
    .option('--no-torch', 'without PyTorch')
    .option('--profile', "print the time of each of this engine's kernels")
    .option('--quick', 'a tiny model, one step: shows that it works, measures nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      const texts = result.comparisons.map((each) => describeComparison(each, options.profile ?? false));
      process.stdout.write(`${options.json ? JSON.stringify(result) : texts.join('\n\n')}\n`);
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  const { quick = false, rounds = quick ? 1 : 3 } = options;
  if (quick) note('--quick only shows that it works: its figures mean nothing');
  const cores = availableParallelism();
  const threads = options.threads ?? (cores === 1 ? [1] : [1, 2]);
  const workloads = quick ? [QUICK] : WORKLOADS.filter(({ name }) => options.workloads.includes(name));
  const deadline = new Deadline(options.budget);
  const probed = { workload: workloads[0]!, precision: options.precisions[0]!, threads: threads[0]! };
  const torch = options.torch ? await torchArms(options.python, probed, signal, note) : [];
  const comparisons: Comparison[] = [];
  for (const precision of options.precisions) {
    for (const workload of workloads) {
      const arms = [...ownArms(precision), ...torch];
      if (arms.length === 0) continue;
      if (comparisons.length > 0 && !deadline.allows()) {
        note(`without ${workload.name} ${precision}: no time is left (--budget)`);
        continue;
      }
      const steps = options.steps ?? stepsOfRound(workload);
      const products = await productsOf(workload, precision, signal);
      const plan = { workload, precision, arms, threads, rounds, steps, products, deadline, signal, note };
      try {
        comparisons.push(await compareSteps(plan));
      } finally {
        await products?.close();
      }
    }
  }
  return { cores, comparisons };
}

async function productsOf(
  workload: StepWorkload,
  precision: TorchPrecision,
  signal: AbortSignal,
): Promise<OneDnnRate | null> {
  try {
    return await OneDnnRate.start(workload, precision, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    note(
      `without the rate of matrix products alone, which needs oneDNN (Debian: libdnnl-dev): ${messageOf(error)}`,
    );
    return null;
  }
}

/** This machine's ways to train what torch trains in `precision`: in float32 also those that take it apart into bfloat16. */
function ownArms(precision: TorchPrecision): Arm[] {
  const info = loadAddon().info();
  if (precision === 'bfloat16' && !isMadeFor(precision, info)) {
    note('without lockstep in bfloat16, for which this machine has no instructions');
    return [];
  }
  if (precision === 'bfloat16') return [ownArm('native')];
  const apart = precisions.filter((name) => name.startsWith('bfloat16x') && isMadeFor(name, info));
  return [
    ownArm('native'),
    ...apart.map((name) => ownArm('native', { precision: name })),
    ...(installedPackage() === null ? [] : [ownArm('tensorflow'), tfjsArm]),
  ];
}

/** A step of `base` takes as long as six of `small`. */
function stepsOfRound(workload: StepWorkload): number {
  return workload === SMALL ? 2 : 1;
}

// ---- options

function threadCounts(value: string): number[] {
  return value.split(',').map(integerArgument(1, 1024));
}
