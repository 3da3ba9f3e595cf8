// Why a simulated step takes as long as it does: the same cluster is simulated again without one limit after another, and
// with other settings. The limit without which a step would be shortest is the bottleneck.
import type { ClusterPlan, Costs } from './plan.js';
import { counted } from '../util/format.js';
import { VirtualCluster, type Measured } from './virtual-cluster.js';

export type Limit =
  | 'coordinator network'
  | 'worker network'
  | 'I/O thread'
  | 'reducer CPU'
  | 'messages'
  | 'cores'
  | 'latency'
  | 'granularity';

export interface Variant {
  readonly name: string;
  readonly stepMs: number;
  readonly efficiency: number;
}

export interface Explanation {
  readonly plan: ClusterPlan;
  readonly measured: Measured;
  /** All workers compute all the time. */
  readonly perfectMs: number;
  readonly efficiency: number;
  /** `compute`: without any other limit a step would not be shorter by a twentieth. */
  readonly bottleneck: Limit | 'compute';
  /** Workers of the part of the cluster that was simulated without limits and with other settings. */
  readonly partWorkers: number;
  /** A step without one limit, the most telling first. */
  readonly without: readonly (Variant & { readonly name: Limit })[];
  /** A step with other settings. */
  readonly settings: readonly Variant[];
  /** Micro-batches of a worker and step at which efficiency would be nine tenths, if what a step takes beside stays. */
  readonly microBatchesForNineTenths: number;
}

/** A limit that binds less than this part of a step is not tried. */
const NOT_WORTH_TRYING = 0.1;
const NOT_WORTH_NAMING = 0.05;
const REDUCERS = [1, 4];

/** @param onSimulation told before each simulation what it is of: large ones take tens of seconds */
export function explain(
  plan: ClusterPlan,
  onSimulation: (what: string) => void = () => undefined,
): Explanation {
  const simulate = (of: ClusterPlan, what: string): Measured => {
    onSimulation(what);
    return new VirtualCluster(of).settled();
  };
  const perfectMs = (plan.microBatches * plan.microBatchMs) / plan.workers;
  const measured = simulate(plan, counted(plan.workers, 'worker'));
  const { stepMs } = measured;
  const part = partOf(plan);
  const partMs = part === plan ? stepMs : simulate(part, `${part.workers} of them`).stepMs;
  const variant = <N extends string>(name: N, change: Change, what: string = name) => {
    const step = (stepMs * simulate({ ...part, ...change(part) }, what).stepMs) / partMs;
    return { name, stepMs: step, efficiency: perfectMs / step };
  };
  const without = [
    ...limitsOf(plan, measured).map(([name, change]) => variant(name, change, `without the limit: ${name}`)),
    ...granularity(plan, measured, perfectMs),
  ].sort((a, b) => a.stepMs - b.stepMs);
  const [most] = without;
  const otherWire = plan.wire === 'float32' ? 'bfloat16' : 'float32';
  const settings = [
    ...REDUCERS.filter((reducers) => reducers !== plan.reducers).map((reducers) =>
      variant(`reducers: ${reducers}`, () => ({ reducers })),
    ),
    variant(`wire: ${otherWire}`, () => ({ wire: otherWire })),
  ];
  const besideMs = stepMs - perfectMs;
  return {
    plan,
    measured,
    perfectMs,
    efficiency: perfectMs / stepMs,
    bottleneck: most && most.stepMs < (1 - NOT_WORTH_NAMING) * stepMs ? most.name : 'compute',
    partWorkers: part.workers,
    without,
    settings,
    microBatchesForNineTenths: Math.ceil((9 * besideMs) / plan.microBatchMs),
  };
}

/** Variants are simulated with at most so many workers. */
const MOST_WORKERS = 100;

/** A part of the cluster whose steps take as long: fewer workers, and as much less of all that they share. */
function partOf(plan: ClusterPlan): ClusterPlan {
  if (plan.workers <= MOST_WORKERS) return plan;
  const share = MOST_WORKERS / plan.workers;
  const { costs } = plan;
  return {
    ...plan,
    workers: MOST_WORKERS,
    microBatches: Math.ceil(plan.microBatches * share),
    coordinatorBytesPerSecond: plan.coordinatorBytesPerSecond * share,
    costs: {
      ioBytesPerSecond: costs.ioBytesPerSecond * share,
      addedPerSecond: costs.addedPerSecond * share,
      updatedPerSecond: costs.updatedPerSecond,
      messageMs: costs.messageMs / share,
    },
  };
}

type Change = (plan: ClusterPlan) => Partial<ClusterPlan>;

/** Limits that may bind, and how to take each away. */
function limitsOf(plan: ClusterPlan, { stepMs, busyMs }: Measured): [Limit, Change][] {
  const binds = (ms: number): boolean => ms > NOT_WORTH_TRYING * stepMs;
  const cheaper =
    (costs: Partial<Costs>): Change =>
    (plan) => ({ costs: { ...plan.costs, ...costs } });
  const limits: [Limit, boolean, Change][] = [
    [
      'coordinator network',
      binds(busyMs.networkIn + busyMs.networkOut),
      () => ({ coordinatorBytesPerSecond: Infinity }),
    ],
    ['worker network', binds(busyMs.workerNetwork), () => ({ workerBytesPerSecond: Infinity })],
    ['I/O thread', binds(busyMs.io), cheaper({ ioBytesPerSecond: Infinity })],
    ['reducer CPU', binds(busyMs.reducer), cheaper({ addedPerSecond: Infinity, updatedPerSecond: Infinity })],
    ['messages', binds(busyMs.main), cheaper({ messageMs: 0 })],
    ['cores', binds((busyMs.main + busyMs.reducers) / plan.cores), () => ({ cores: Infinity })],
    // Every window of chunks is a round trip, on the way down and up: large models have tens of them.
    ['latency', binds(100 * plan.latencyMs), () => ({ latencyMs: 0 })],
  ];
  return limits.filter(([, isTried]) => isTried).map(([name, , change]) => [name, change]);
}

/** What is lost because micro-batches are not cut: some workers compute one more than others. */
function granularity(plan: ClusterPlan, { stepMs }: Measured, perfectMs: number): Explanation['without'] {
  const lostMs = Math.ceil(plan.microBatches / plan.workers) * plan.microBatchMs - perfectMs;
  if (lostMs < NOT_WORTH_TRYING * stepMs) return [];
  const even = stepMs - lostMs;
  return [{ name: 'granularity', stepMs: even, efficiency: perfectMs / even }];
}
