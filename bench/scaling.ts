// How much faster two workers train than one: `lockstep train` with one thread for each worker, the same config,
// real processes and sockets. Runs of one and of several workers alternate, so that a machine that slows down
// slows both. Processes that compute and share nothing tell what the machine allows, and another pair of runs where the
// missing part of the ideal goes.
import { availableParallelism } from 'node:os';
import { InvalidArgumentError, type Command } from 'commander';
import { integerArgument, numberArgument, repeatableOption } from '../src/cli/options.js';
import { counted } from '../src/util/format.js';
import { table } from '../src/util/table.js';
import { Deadline } from './support/deadline.js';
import { IndependentProcesses } from './support/independent-processes.js';
import { note } from './support/note.js';
import { median } from './support/statistics.js';
import { withTemporaryFolder } from './support/temporary-folder.js';
import {
  profileTraining,
  timeTraining,
  tokensPerStep,
  workerPhases,
  writeWorkload,
  type StepProfile,
  type TimedRun,
  type TrainingPlan,
  type Workload,
} from './support/training.js';

/** 11 million parameters and about 16,000 source and target tokens a step. */
const FULL: Workload = {
  model: { width: 256, heads: 4, feedForward: 1024, encoderLayers: 4, decoderLayers: 4 },
  vocabulary: 8192,
  window: 128,
  microBatches: 8,
  samples: 8,
};
/** Only shows that the benchmark works. */
const QUICK: Workload = {
  model: { width: 64, heads: 2, feedForward: 128, encoderLayers: 1, decoderLayers: 1 },
  vocabulary: 1024,
  window: 64,
  microBatches: 8,
  samples: 4,
};

interface Options {
  readonly workers: number;
  readonly rounds?: number;
  readonly steps?: number;
  readonly warmUp: number;
  readonly budget: number;
  readonly set: readonly string[];
  readonly atLeast?: number;
  readonly quick?: boolean;
  readonly json?: boolean;
}

interface Profiles {
  readonly single: StepProfile;
  readonly several: StepProfile;
}

interface Result {
  readonly workers: number;
  readonly cores: number;
  readonly tokensPerStep: number;
  /** Seconds of each measured step, by round. */
  readonly singleSteps: readonly (readonly number[])[];
  readonly severalSteps: readonly (readonly number[])[];
  /** Medians over all rounds, and their ratio. */
  readonly singleSeconds: number;
  readonly severalSeconds: number;
  readonly speedUp: number;
  /** Per round: how far to trust it. */
  readonly speedUps: readonly number[];
  /** Of as many processes that share nothing, by round: what the machine allows. */
  readonly limits: readonly number[];
  /** null: no time was left, or the steps were too short. */
  readonly profiles: Profiles | null;
}

export function register(program: Command, signal: AbortSignal): void {
  program
    .command('scaling')
    .description('steps per second of 2 workers against 1, one thread each, on one config')
    .option('--workers <n>', 'workers to compare with one', integerArgument(2, 64), 2)
    .option('--rounds <n>', 'pairs of runs (default: 3; with --quick 1)', integerArgument(1, 100))
    .option('--steps <n>', 'steps of a run (default: 8; with --quick 12)', integerArgument(2, 10_000))
    .option('--warm-up <n>', 'first steps of each run that are left out', integerArgument(0, 10_000), 2)
    .option('--budget <seconds>', 'no further runs are begun that would end later', numberArgument(0), 220)
    .addOption(repeatableOption('--set <key=value>', 'override a key of the config'))
    .option('--at-least <ratio>', 'fail when the speed-up is lower', numberArgument(0))
    .option('--quick', 'a tiny model and one round: shows that it works, measures nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const result = await measure(options, signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
      if (result.speedUp < (options.atLeast ?? 0)) {
        throw new Error(`expected a speed-up of at least ${options.atLeast}, got ${two(result.speedUp)}`);
      }
    });
}

async function measure(options: Options, signal: AbortSignal): Promise<Result> {
  const { quick = false, workers, warmUp, rounds = quick ? 1 : 3, steps = quick ? 12 : 8 } = options;
  if (warmUp >= steps) throw new InvalidArgumentError(`Expected more than ${warmUp} steps, got ${steps}.`);
  const workload = quick ? QUICK : FULL;
  const deadline = new Deadline(options.budget);
  return withTemporaryFolder(async (folder) => {
    note('preparing the data');
    const configFile = await writeWorkload(folder, workload, signal);
    const plan = { configFile, folder, steps, warmUp, overrides: options.set, signal };
    const singles: TimedRun[] = [];
    const severals: TimedRun[] = [];
    const limits: number[] = [];
    for (let round = 1; round <= rounds && (round === 1 || deadline.allows()); round++) {
      await deadline.time(async () => {
        singles.push(await timed({ ...plan, workers: 1 }, `round ${round} of ${rounds}`));
        severals.push(await timed({ ...plan, workers }, `round ${round} of ${rounds}`));
        limits.push(await machineLimit(workers, quick, signal));
      });
    }
    checkLosses([...singles, ...severals]);
    const profiles = quick || deadline.allows() ? await profile(plan, workers) : null;
    return { ...summarise(workers, tokensPerStep(workload), singles, severals), limits, profiles };
  });
}

async function timed(plan: TrainingPlan, round: string): Promise<TimedRun> {
  const run = await timeTraining(plan);
  note(`${round}, ${counted(plan.workers, 'worker')}: ${two(median(run.stepSeconds))} s a step`);
  return run;
}

async function machineLimit(count: number, quick: boolean, signal: AbortSignal): Promise<number> {
  const processes = await IndependentProcesses.start(count, quick, signal);
  try {
    return await processes.speedUp();
  } finally {
    await processes.close();
  }
}

async function profile(plan: Omit<TrainingPlan, 'workers'>, workers: number): Promise<Profiles | null> {
  note('two more runs, to see where the time goes');
  const single = await profileTraining({ ...plan, workers: 1 });
  const several = await profileTraining({ ...plan, workers });
  return single && several ? { single, several } : null;
}

/** Runs that did not compute the same are not to be compared. */
function checkLosses(runs: readonly TimedRun[]): void {
  const expected = JSON.stringify(runs[0]!.losses);
  if (runs.some(({ losses }) => JSON.stringify(losses) !== expected)) {
    throw new Error('the runs computed different losses: they did not train the same');
  }
}

function summarise(
  workers: number,
  tokens: number,
  singles: readonly TimedRun[],
  severals: readonly TimedRun[],
): Omit<Result, 'limits' | 'profiles'> {
  const singleSteps = singles.map(({ stepSeconds }) => stepSeconds);
  const severalSteps = severals.map(({ stepSeconds }) => stepSeconds);
  const singleSeconds = median(singleSteps.flat());
  const severalSeconds = median(severalSteps.flat());
  return {
    workers,
    cores: availableParallelism(),
    tokensPerStep: tokens,
    singleSteps,
    severalSteps,
    singleSeconds,
    severalSeconds,
    speedUp: singleSeconds / severalSeconds,
    speedUps: singleSteps.map((steps, i) => median(steps) / median(severalSteps[i]!)),
  };
}

// ---- what is printed

function describe(result: Result): string {
  const { workers, cores, singleSteps, severalSteps, singleSeconds, severalSeconds } = result;
  const row = (count: number, median: number, steps: readonly number[]): string[] => [
    counted(count, 'worker'),
    two(median),
    `${two(Math.min(...steps))}-${two(Math.max(...steps))}`,
    String(Math.round(result.tokensPerStep / median)),
  ];
  return [
    `${result.tokensPerStep} source and target tokens a step; ${cores} cores, one thread for each worker`,
    '',
    table([
      ['', 's a step', 'range', 'tokens/s'],
      row(1, singleSeconds, singleSteps.flat()),
      row(workers, severalSeconds, severalSteps.flat()),
    ]),
    '',
    `speed-up ${two(result.speedUp)} of ${workers} (by round: ${result.speedUps.map(two).join(', ')})`,
    `${workers} processes that share nothing: ${two(median(result.limits))} (by round: ${result.limits.map(two).join(', ')})`,
    '',
    result.profiles
      ? describeProfiles(workers, result.profiles)
      : 'Where the time goes was not measured: no time was left (--budget), or the steps were too short.',
  ].join('\n');
}

/** What each part of a step takes, and what it adds to the ideal, 1 worker's step divided by the workers. */
function describeProfiles(workers: number, { single, several }: Profiles): string {
  const row = (name: string, of: (profile: StepProfile) => number): string[] => {
    const [one, all] = [of(single), of(several)];
    return [name, two(one), two(all), signed(all - one / workers)];
  };
  const plain = (name: string, of: (profile: StepProfile) => number): string[] => [
    name,
    two(of(single)),
    two(of(several)),
  ];
  const busy = ({ cpu, step }: StepProfile): number => (cpu.workers + cpu.coordinator) / step;
  return [
    'Where the time goes (runs of their own; seconds a step; workers: mean)',
    table([
      ['', '1 worker', counted(workers, 'worker'), 'beyond the ideal'],
      ...workerPhases.map((phase) => row(`worker ${phase}`, (profile) => profile.worker[phase])),
      row('step', (profile) => profile.step),
      plain('reducer: sums', (profile) => profile.coordinator.reduce),
      plain('reducer: update', (profile) => profile.coordinator.update),
      plain('CPU of all workers', (profile) => profile.cpu.workers),
      plain('CPU of the coordinator', (profile) => profile.cpu.coordinator),
      plain('cores busy', busy),
      plain('MB of gradients', ({ bytes }) => bytes.gradients_in / 1e6),
      plain('MB of parameters', ({ bytes }) => bytes.parameters_out / 1e6),
    ]),
  ].join('\n');
}

function two(value: number): string {
  return value.toFixed(2);
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${two(value)}`;
}
