// What was measured of a step, the costs that follow from it, and the same step in virtual time.
import { MEASURED_COSTS, type Costs } from '../../src/simulation/plan.js';
import { VirtualCluster } from '../../src/simulation/virtual-cluster.js';

/** One step, on average. */
export interface MeasuredStep {
  readonly workers: number;
  readonly reducers: number;
  readonly parameters: number;
  readonly computeMs: number;
  readonly stepMs: number;
  /** CPU time of the coordinator's process: all of it, its main thread's and its I/O thread's. */
  readonly cpuMs: { readonly all: number; readonly main: number; readonly io: number };
  /** CPU time of the process that all workers share. */
  readonly workerCpuMs: number;
  readonly residentMegabytes: number;
}

const HEARTBEATS_MS = 1000;
const FLOAT32_BYTES = 4;

/**
 * Costs that make a line through a few and many workers: what grows with them is adding and messages, what does not is the
 * update. Sizes at which the cores were full are no worse: CPU time is not waiting time.
 */
export function costsOf(steps: readonly MeasuredStep[]): Costs {
  const [few, many] = [steps[0]!, steps.at(-1)!];
  if (few === many) return MEASURED_COSTS;
  const { parameters } = many;
  const slope = (of: (step: MeasuredStep) => number): number =>
    Math.max(1e-6, (of(many) - of(few)) / (many.workers - few.workers));
  const reducing = ({ cpuMs }: MeasuredStep): number => cpuMs.all - cpuMs.main - cpuMs.io;
  const messageMs = Math.max(1e-6, (many.cpuMs.main - few.cpuMs.main) / (messagesOf(many) - messagesOf(few)));
  const addedMs = slope(reducing);
  const updateMs = Math.max(1e-3, reducing(few) - few.workers * addedMs);
  return {
    ioBytesPerSecond: (1000 * 2 * FLOAT32_BYTES * parameters) / slope(({ cpuMs }) => cpuMs.io),
    addedPerSecond: (1000 * parameters) / addedMs,
    updatedPerSecond: (1000 * parameters) / updateMs,
    messageMs,
  };
}

/** What the main thread handles in a step: of each worker a result, each reducer's report of it, and heartbeats. */
function messagesOf({ workers, reducers, stepMs }: MeasuredStep): number {
  return workers * (1 + reducers + stepMs / HEARTBEATS_MS);
}

/** The same cluster on one machine: all workers behind one interface, as fast as their process can fill it. */
export function simulatedStepMs(step: MeasuredStep, costs: Costs, cores: number): number {
  const { workers, reducers, parameters, computeMs, cpuMs, workerCpuMs } = step;
  const bytes = 2 * FLOAT32_BYTES * parameters * workers;
  const cluster = new VirtualCluster({
    workers,
    workersPerHost: workers,
    parameters,
    microBatches: workers,
    microBatchMs: computeMs,
    reducers,
    wire: 'float32',
    coordinatorBytesPerSecond: Infinity,
    workerBytesPerSecond: (1000 * bytes) / workerCpuMs,
    latencyMs: 0.05,
    // Workers take their part of the cores.
    cores: (cores * cpuMs.all) / (cpuMs.all + workerCpuMs),
    costs,
  });
  return cluster.settled().stepMs;
}
