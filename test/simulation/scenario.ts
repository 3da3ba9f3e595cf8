// What a simulated run trains and what happens to it, as a seed chooses: sizes, faults, and a gradient that is a pure
// function of step, micro-batch and parameters.
import type { CoordinatorOptions } from '../../src/coordinator/events.js';
import type { ElementRange } from '../../src/coordinator/reducer/undecayed.js';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import type { BatchStats } from '../../src/protocol/stats.js';
import { ReductionTree } from '../../src/protocol/tree.js';
import { Random } from './random.js';

export interface Scenario {
  readonly seed: number;
  readonly grid: ChunkGrid;
  readonly tree: ReductionTree;
  readonly undecayed: readonly ElementRange[];
  readonly wire: 'float32' | 'bfloat16';
  readonly reducers: number;
  readonly workers: number;
  readonly options: Omit<CoordinatorOptions, 'reducers'>;
  /** A step none of whose tokens carry loss; one whose gradient is not finite, the first time or always. */
  readonly emptyStep: number;
  readonly infiniteStep: number;
  readonly infiniteTwice: boolean;
  /** How long a worker at full speed computes a micro-batch. */
  readonly microBatchMs: number;
  /** How long faults happen, and how many a second. */
  readonly troubledMs: number;
  readonly faultsPerSecond: number;
  /** Also single messages are lost, doubled and exchanged. */
  readonly tampering: boolean;
  readonly keepLast: number;
  /** Workers may compute wrongly. Every node is audited then. */
  readonly wrongWorkers: boolean;
  /** Coordinators may be superseded while they live. */
  readonly takeovers: boolean;
}

export const HEARTBEAT = { intervalMs: 1000, timeoutMs: 5000 } as const;

const OPTIMIZER = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-9,
  weightDecay: 0.1,
  clipNorm: 1,
  schedule: { kind: 'constant', warmupSteps: 2 },
} as const;

export function randomScenario(seed: number): Scenario {
  const random = new Random(seed);
  const trainable = random.chance(0.2) ? random.between(1, 60) : random.between(1, 10);
  const frozen = random.chance(0.5) ? 0 : random.between(1, 8);
  const steps = random.between(2, 5);
  const leaves = random.chance(0.1) ? random.between(20, 40) : random.between(1, 12);
  const half = Math.floor(trainable / 2);
  const scenario = {
    seed,
    grid: new ChunkGrid(trainable, trainable + frozen, random.pick([2, 4, 4]), random.between(2, 5)),
    tree: new ReductionTree(leaves),
    undecayed: [{ start: half, end: trainable }],
    wire: random.pick(['float32', 'bfloat16'] as const),
    reducers: random.between(1, 3),
    workers: random.between(1, 6),
    options: {
      steps,
      microBatches: leaves,
      optimizer: OPTIMIZER,
      evaluate: { every: random.between(1, 3), batches: random.below(4) },
      checkpointEvery: random.between(1, 3),
      audit: { share: random.pick([0, 0, 0.2, 1]), key: 'secret', action: 'expel' as const },
      maxSkips: 100,
      nameOfParameter: String,
      hardware: 'strict' as const,
      heartbeat: HEARTBEAT,
    },
    emptyStep: random.below(3 * steps),
    infiniteStep: random.below(3 * steps),
    infiniteTwice: random.chance(0.5),
    microBatchMs: random.pick([5, 50, 500]),
    troubledMs: random.chance(0.1) ? 0 : random.pick([1000, 5000, 20_000]),
    faultsPerSecond: random.pick([0.5, 2, 8]),
    tampering: random.chance(0.15),
    keepLast: random.between(1, 3),
    wrongWorkers: false,
    takeovers: random.chance(0.15),
  };
  if (scenario.tampering || !random.chance(0.15)) return scenario;
  const { options } = scenario;
  return {
    ...scenario,
    wrongWorkers: true,
    workers: Math.max(3, scenario.workers),
    options: { ...options, audit: { ...options.audit, share: 1 } },
  };
}

const SPREAD = Array.from({ length: 13 }, (_, i) => 2 ** i);

/** One element of a micro-batch's gradient: of very different sizes, so that the order of additions matters. */
export function gradientOf(
  { infiniteStep, infiniteTwice }: Scenario,
  step: number,
  round: number,
  leaf: number,
  element: number,
  parameter: number,
): number {
  if (step === infiniteStep && element === 0 && leaf === 0 && (round === 0 || infiniteTwice)) return Infinity;
  const spread = SPREAD[(leaf * 5 + element) % SPREAD.length]!;
  return Math.fround(spread * noise(step, leaf, element) + parameter);
}

/** In [-1, 1). */
function noise(step: number, leaf: number, element: number): number {
  let state =
    Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(leaf + 1, 0x85ebca6b) ^ Math.imul(element + 1, 0xc2b2ae35);
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
  return (state ^ (state >>> 15)) / 2 ** 31;
}

export function statsOf({ emptyStep }: Scenario, step: number, leaf: number): BatchStats {
  const tokens = step === emptyStep ? 0 : 1 + ((leaf * 7 + step + 5) % 5);
  return { loss: tokens * (2 + noise(step, leaf, 0)), tokens, correct: 0, sourceTokens: 1 };
}

export function initialParameters({ grid }: Scenario): Float32Array {
  return Float32Array.from({ length: grid.total }, (_, i) => noise(-7, 0, i));
}
