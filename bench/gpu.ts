// A training step on a GPU: this engine on a CUDA device against PyTorch on the same card, eager and compiled, in turn, and
// against the card's own rate of matrix products; then how exact its kernels are, and whether it trains the same bits again.
import type { Command } from 'commander';
import { integerArgument, numberArgument } from '../src/cli/options.js';
import { loadEngine } from '../src/engine/load.js';
import { cudaLibrary } from '../src/engine/native/cuda/device.js';
import { ownArm, torchDeviceArms, torchPrecisions, type Arm, type TorchPrecision } from './support/arms.js';
import { Deadline } from './support/deadline.js';
import { DeviceProductRate } from './support/device-product-rate.js';
import { describeComparison } from './support/engine-report.js';
import { describeFigures, figuresOf } from './support/gpu-figures.js';
import { checkKernels } from './support/kernel-check.js';
import { oneOrMoreOf } from './support/list-option.js';
import { note } from './support/note.js';
import { SMALL_RUN, TINY_RUN, trainThrice } from './support/same-bits.js';
import { compareSteps, type Comparison } from './support/step-comparison.js';
import { BASE, BIG, QUICK, type StepWorkload } from './support/step-workload.js';

/** `base` with the batch that a card is filled by. */
const WORKLOADS: readonly StepWorkload[] = [{ ...BASE, samples: 64 }, BIG];
const STEPS_OF_ROUND = 10;

interface Options {
  readonly workloads: readonly string[];
  readonly precisions: readonly TorchPrecision[];
  readonly rounds: number;
  readonly budget: number;
  readonly python: string;
  /** --no-torch: false */
  readonly torch: boolean;
  readonly quick?: boolean;
  readonly json?: boolean;
}

export function register(program: Command, signal: AbortSignal): void {
  const names = WORKLOADS.map(({ name }) => name);
  program
    .command('gpu')
    .description(
      "a training step on a CUDA device: this engine, PyTorch, and the card's matrix products alone",
    )
    .option('--workloads <names>', `of ${names.join(',')}`, oneOrMoreOf(names), names)
    .option('--precisions <names>', `of ${torchPrecisions.join(',')}`, oneOrMoreOf(torchPrecisions), [
      'bfloat16',
    ])
    .option('--rounds <n>', 'measurements of each', integerArgument(1, 1000), 3)
    .option('--budget <seconds>', 'nothing further is begun that would end later', numberArgument(0), 500)
    .option('--python <path>', 'a Python that has torch with CUDA', 'python3')
    .option('--no-torch', "Lockstep's engine alone")
    .option('--quick', 'a tiny model, one step: shows that it works, measures nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const { quick = false } = options;
      note('kernels against their references');
      const kernels = await checkKernels(cudaLibrary(), signal);
      const comparisons = await measure(options, signal);
      note('three runs of a small model');
      const weights = await trainThrice(quick ? TINY_RUN : SMALL_RUN, 'bfloat16', signal);
      const of = (name: string): Comparison | undefined =>
        comparisons.find(
          ({ workload, precision }) => precision === 'bfloat16' && (quick || workload.name === name),
        );
      const figures = figuresOf({ kernels, big: of('big'), base: of('base'), weights });
      const texts = comparisons.map((each) => describeComparison(each, false));
      const result = { kernels, comparisons, weights, figures };
      const report = [...texts, describeFigures(figures)].join('\n\n');
      process.stdout.write(`${options.json ? JSON.stringify(result) : report}\n`);
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Comparison[]> {
  const { quick = false, torch, python } = options;
  const deadline = new Deadline(options.budget);
  const workloads = quick ? [QUICK] : WORKLOADS.filter(({ name }) => options.workloads.includes(name));
  const comparisons: Comparison[] = [];
  for (const precision of options.precisions) {
    await loadEngine('native', { threads: 1, device: 'cuda:0', precision });
    for (const workload of workloads) {
      if (comparisons.length > 0 && !deadline.allows()) {
        note(`without ${workload.name} ${precision}: no time is left (--budget)`);
        continue;
      }
      const task = { workload, precision, threads: 1 };
      const peers = torch ? await torchDeviceArms(python, task, signal, note) : [];
      const arms: Arm[] = [ownArm('native', { device: 'cuda:0' }), ...peers];
      comparisons.push(
        await compareSteps({
          ...{ workload, precision, arms, deadline, signal, note },
          threads: [1],
          rounds: quick ? 1 : options.rounds,
          steps: quick ? 1 : STEPS_OF_ROUND,
          products: new DeviceProductRate(quick ? 64 : 4096),
        }),
      );
    }
  }
  return comparisons;
}
