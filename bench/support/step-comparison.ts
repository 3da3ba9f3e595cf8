// Training steps of several engines on one workload, in turn: every process is started and warm before the first is
// measured, and each round asks all of them, so that a machine that slows down slows all.
import { messageOf } from '../../src/util/errors.js';
import type { Arm, TorchPrecision } from './arms.js';
import type { Deadline } from './deadline.js';
import type { KernelTime } from '../../src/engine/native/addon.js';
import { Peer, type PeerAnswer } from './peer.js';
import { mean, median } from './statistics.js';
import { stepFlops, tokensOf, type StepWorkload } from './step-workload.js';

export interface ComparisonPlan {
  readonly workload: StepWorkload;
  readonly precision: TorchPrecision;
  readonly arms: readonly Arm[];
  readonly threads: readonly number[];
  readonly rounds: number;
  /** Of each process in each round. */
  readonly steps: number;
  /** What measures the machine's own rate of matrix products; null: nothing does. */
  readonly products: ProductMeter | null;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
}

export interface ProductMeter {
  /** What it multiplies. */
  readonly ceiling: string;
  measure(): void | Promise<void>;
  readonly flopsPerSecond: number;
}

/** What an arm did with a number of threads. */
export interface Measurement {
  readonly arm: string;
  readonly isTorch: boolean;
  readonly version: string;
  readonly threads: number;
  /** Of each step, by round. */
  readonly rounds: readonly (readonly number[])[];
  readonly medianSeconds: number;
  readonly tokensPerSecond: number;
  readonly flopsPerSecond: number;
  /** Of what the matrix products alone would reach with so many threads; null: not measured. */
  readonly shareOfCeiling: number | null;
  readonly peakBytes: number;
  /** The step of the best torch arm over this one's: above 1 is faster than torch; null: no torch. */
  readonly timesBestTorch: number | null;
  /** The same of each round: how far to trust it. */
  readonly timesBestTorchByRound: readonly number[];
  /** Of one step, on average, longest first; empty for others than this engine. */
  readonly kernels: readonly KernelTime[];
  /** Of one step outside kernels, on average; null for others than this engine. */
  readonly hostSeconds: number | null;
  /**
   * Of a step on a device: the share of its time in which the device may have waited for the host, from above. It is the time
   * from one piece of work to the next, wherever the next found the device with nothing to do. null: no such device.
   */
  readonly waitShare: number | null;
}

export interface Comparison {
  readonly workload: StepWorkload;
  readonly precision: TorchPrecision;
  readonly parameters: number;
  readonly tokensPerStep: number;
  readonly flopsPerStep: number;
  /** Of matrix products alone; null: not measured. */
  readonly ceilingFlopsPerSecond: number | null;
  /** Which products those are. */
  readonly ceiling: string | null;
  readonly measurements: readonly Measurement[];
}

/** A process with what it has answered so far. */
interface Runner {
  readonly arm: Arm;
  readonly threads: number;
  readonly peer: Peer;
  readonly version: string;
  readonly parameters: number;
  readonly answers: PeerAnswer[];
}

export async function compareSteps(plan: ComparisonPlan): Promise<Comparison> {
  const { workload, precision, products, rounds, steps, deadline, note } = plan;
  const title = `${workload.name} ${precision}`;
  let runners: Runner[] = [];
  /** A process that ends, for want of memory for instance, takes its own figures with it and nobody else's. */
  const orWithout = async (arm: Arm, threads: number, run: () => Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      if (plan.signal.aborted || plan.arms.length === 1) throw error;
      note(`without ${arm.name} (threads: ${threads}): ${messageOf(error)}`);
      runners = runners.filter((runner) => runner.arm !== arm || runner.threads !== threads);
    }
  };
  try {
    for (const threads of plan.threads) {
      for (const arm of plan.arms) {
        await orWithout(arm, threads, async () => {
          runners.push(await start(arm, threads, plan));
        });
      }
    }
    checkParameters(runners);
    for (let round = 1; round <= rounds && (round === 1 || deadline.allows()); round++) {
      await deadline.time(async () => {
        await products?.measure();
        for (const { arm, threads, peer, answers } of runners) {
          await orWithout(arm, threads, async () => {
            answers.push(await peer.run(steps));
          });
        }
        await products?.measure();
      });
      note(`${title}: round ${round} of ${rounds}`);
    }
  } finally {
    await Promise.all(runners.map(({ peer }) => peer.close()));
  }
  return summarise(plan, runners);
}

async function start(
  arm: Arm,
  threads: number,
  { workload, precision, signal, note }: ComparisonPlan,
): Promise<Runner> {
  note(`${workload.name} ${precision}: starting ${arm.name} (threads: ${threads})`);
  const { peer, description } = await Peer.start(arm.command({ workload, precision, threads }), signal);
  return { arm, threads, peer, ...description, answers: [] };
}

/** Models of different sizes are not to be compared. */
function checkParameters(runners: readonly Runner[]): void {
  const [first] = runners;
  if (!first) throw new Error('none of the processes that were to be compared could be started');
  for (const { arm, parameters } of runners) {
    if (parameters === first.parameters) continue;
    throw new Error(
      `${first.arm.name} trains ${first.parameters} parameters, ${arm.name} ${parameters}: they are not the same model`,
    );
  }
}

function summarise(
  { workload, precision, products }: ComparisonPlan,
  runners: readonly Runner[],
): Comparison {
  const ceilingFlopsPerSecond = products?.flopsPerSecond ?? null;
  return {
    workload,
    precision,
    parameters: runners[0]!.parameters,
    tokensPerStep: tokensOf(workload),
    flopsPerStep: stepFlops(workload),
    ceilingFlopsPerSecond,
    ceiling: products?.ceiling ?? null,
    measurements: runners.map((runner) =>
      measurementOf(runner, bestTorch(runners, runner.threads), workload, ceilingFlopsPerSecond),
    ),
  };
}

function measurementOf(
  runner: Runner,
  torch: Runner | undefined,
  workload: StepWorkload,
  ceiling: number | null,
): Measurement {
  const { arm, version, threads, answers } = runner;
  const medianSeconds = medianOf(runner);
  const flopsPerSecond = stepFlops(workload) / medianSeconds;
  const roundMedian = (answer: PeerAnswer): number => median(answer.seconds);
  const kernels = kernelsOf(answers);
  return {
    arm: arm.name,
    isTorch: arm.isTorch,
    version,
    threads,
    rounds: answers.map(({ seconds }) => seconds),
    medianSeconds,
    tokensPerSecond: tokensOf(workload) / medianSeconds,
    flopsPerSecond,
    shareOfCeiling: ceiling === null ? null : flopsPerSecond / (threads * ceiling),
    peakBytes: Math.max(...answers.map(({ peakBytes }) => peakBytes)),
    timesBestTorch: torch ? medianOf(torch) / medianSeconds : null,
    timesBestTorchByRound: torch
      ? answers.map((answer, round) => roundMedian(torch.answers[round]!) / roundMedian(answer))
      : [],
    kernels,
    hostSeconds: kernels.length === 0 ? null : hostSecondsOf(answers, kernels),
    waitShare: waitShareOf(answers),
  };
}

function bestTorch(runners: readonly Runner[], threads: number): Runner | undefined {
  return runners
    .filter((runner) => runner.arm.isTorch && runner.threads === threads)
    .sort((a, b) => medianOf(a) - medianOf(b))[0];
}

function medianOf({ answers }: Runner): number {
  return median(stepsOf(answers));
}

function stepsOf(answers: readonly PeerAnswer[]): number[] {
  return answers.flatMap(({ seconds }) => seconds);
}

/** Means over all steps. */
function kernelsOf(answers: readonly PeerAnswer[]): KernelTime[] {
  const steps = stepsOf(answers).length;
  const sums = new Map<string, { calls: number; seconds: number }>();
  for (const { name, calls, seconds } of answers.flatMap(({ kernels }) => kernels ?? [])) {
    const sum = sums.get(name) ?? { calls: 0, seconds: 0 };
    sums.set(name, { calls: sum.calls + calls, seconds: sum.seconds + seconds });
  }
  return [...sums]
    .map(([name, { calls, seconds }]) => ({ name, calls: calls / steps, seconds: seconds / steps }))
    .sort((a, b) => b.seconds - a.seconds);
}

function waitShareOf(answers: readonly PeerAnswer[]): number | null {
  const shares = answers.flatMap(({ waitShare }) => waitShare ?? []);
  return shares.length === 0 ? null : median(shares);
}

function hostSecondsOf(answers: readonly PeerAnswer[], kernels: readonly KernelTime[]): number {
  return mean(stepsOf(answers)) - kernels.reduce((sum, kernel) => sum + kernel.seconds, 0);
}
