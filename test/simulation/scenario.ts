// What a simulated run trains: its size, and a gradient that is a pure function of step, micro-batch and parameters.
import type { Progress } from '../../src/coordinator/events.js';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import type { BatchStats } from '../../src/protocol/stats.js';
import { ReductionTree } from '../../src/protocol/tree.js';
import { Random } from './random.js';

export interface Scenario {
  readonly seed: number;
  readonly grid: ChunkGrid;
  readonly tree: ReductionTree;
  readonly wire: 'float32' | 'bfloat16';
  readonly steps: number;
  readonly workers: number;
  readonly reducers: number;
  readonly checkpointEvery: number;
  readonly evaluate: { readonly every: number; readonly batches: number };
  /** A step none of whose tokens carry loss; one whose gradient is infinite, the first time or always. */
  readonly emptyStep: number;
  readonly infiniteStep: number;
  readonly infiniteTwice: boolean;
  /** Events during which faults happen. */
  readonly troubledEvents: number;
}

export function randomScenario(seed: number): Scenario {
  const random = new Random(seed);
  const trainable = random.between(1, random.pick([8, 60]));
  const frozen = random.chance(0.5) ? 0 : random.between(1, 20);
  const steps = random.between(2, 6);
  return {
    seed,
    grid: new ChunkGrid(trainable, trainable + frozen, 4),
    tree: new ReductionTree(random.chance(0.25) ? random.between(20, 50) : random.between(1, 12)),
    wire: random.pick(['float32', 'bfloat16']),
    steps,
    workers: random.between(1, 8),
    reducers: random.between(1, 3),
    checkpointEvery: random.between(1, 3),
    evaluate: { every: random.between(1, 3), batches: random.below(4) },
    emptyStep: random.below(3 * steps),
    infiniteStep: random.below(3 * steps),
    infiniteTwice: random.chance(0.5),
    troubledEvents: random.chance(0.2) ? 0 : random.between(100, 3000),
  };
}

/** The same training by one worker and one reducer to which nothing happens. */
export function undisturbed(scenario: Scenario): Scenario {
  return { ...scenario, workers: 1, reducers: 1, checkpointEvery: 1, troubledEvents: 0 };
}

/** One element of a micro-batch's gradient. */
export function gradientOf(
  { infiniteStep, infiniteTwice }: Scenario,
  at: { step: number; round: number; leaf: number; element: number },
  parameter: number,
): number {
  const { step, round, leaf, element } = at;
  if (step === infiniteStep && leaf === 0 && element === 0 && (round === 0 || infiniteTwice)) return Infinity;
  const noise = Math.sin(step * 12.9898 + leaf * 78.233 + element * 37.719) * 43_758.5453;
  return Math.fround(2 ** ((leaf * 5 + element) % 13) * (noise % 1) + parameter);
}

export function statsOf({ emptyStep }: Scenario, step: number, leaf: number): BatchStats {
  const tokens = step === emptyStep ? 0 : 1 + ((leaf * 7 + step) % 5);
  return { loss: tokens * (2 + Math.sin(leaf + step)), tokens, correct: 0, sourceTokens: 1 };
}

/** A run's state as a checkpoint keeps it. */
export interface Saved {
  readonly progress: Progress;
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

export function initial({ grid }: Scenario): Saved {
  return {
    progress: { version: 0, updates: 0, tokens: 0, best: null, fingerprint: null },
    parameters: Float32Array.from({ length: grid.total }, (_, i) => Math.fround(Math.cos(i))),
    moment1: new Float32Array(grid.trainable),
    moment2: new Float32Array(grid.trainable),
  };
}
