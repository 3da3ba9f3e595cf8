// The figures that the CUDA device is to reach, each with what was measured.
import type { KernelErrors } from './kernel-check.js';
import { percent } from './percent.js';
import { areEqual, type TrainedWeights } from './same-bits.js';
import type { Comparison, Measurement } from './step-comparison.js';
import { table } from '../../src/util/table.js';

export interface Figure {
  readonly name: string;
  readonly goal: string;
  readonly measured: string;
  /** null: not measured. */
  readonly isReached: boolean | null;
}

/** What was measured in bfloat16; what is missing was not. */
export interface GpuResults {
  readonly kernels?: KernelErrors | undefined;
  readonly big?: Comparison | undefined;
  readonly base?: Comparison | undefined;
  readonly weights?: TrainedWeights | undefined;
}

export function figuresOf({ kernels, big, base, weights }: GpuResults): Figure[] {
  const own = big?.measurements.find(({ isTorch }) => !isTorch);
  return [
    atMost('kernels against float64 references, float32', 1e-4, kernels?.float32, exponential),
    atMost('kernels against float64 references, bfloat16', 1e-2, kernels?.bfloat16, exponential),
    atLeast('big: tokens/s against torch compiled', 1, timesTorch(big, own, 'torch compiled'), times),
    atLeast('big: tokens/s against torch eager', 1.4, timesTorch(big, own, 'torch eager'), times),
    atLeast('big: model FLOP/s of the matrix product rate', 0.45, own?.shareOfCeiling, percent),
    atMost(
      'base: of a step, the device may have waited for the host',
      0.05,
      base?.measurements.find(({ isTorch }) => !isTorch)?.waitShare,
      percent,
    ),
    {
      name: 'SHA-256 of weights: two runs, and 1 against 2 workers on one card',
      goal: 'equal',
      measured: weights ? (areEqual(weights) ? 'equal' : 'different') : 'not measured',
      isReached: weights ? areEqual(weights) : null,
    },
  ];
}

export function describeFigures(figures: readonly Figure[]): string {
  const verdict = ({ isReached }: Figure): string => (isReached === null ? '-' : isReached ? 'yes' : 'NO');
  return table([
    ['figure', 'goal', 'measured', 'reached'],
    ...figures.map((figure) => [figure.name, figure.goal, figure.measured, verdict(figure)]),
  ]);
}

/** Above 1: faster than that torch. */
function timesTorch(
  comparison: Comparison | undefined,
  own: Measurement | undefined,
  arm: string,
): number | undefined {
  const torch = comparison?.measurements.find(({ arm: name }) => name.startsWith(arm));
  return own && torch && torch.medianSeconds / own.medianSeconds;
}

type Text = (value: number) => string;

function atMost(name: string, goal: number, value: number | null | undefined, text: Text): Figure {
  return figure(name, `at most ${text(goal)}`, value, text, (measured) => measured <= goal);
}

function atLeast(name: string, goal: number, value: number | null | undefined, text: Text): Figure {
  return figure(name, `at least ${text(goal)}`, value, text, (measured) => measured >= goal);
}

function figure(
  name: string,
  goal: string,
  value: number | null | undefined,
  text: Text,
  reaches: (value: number) => boolean,
): Figure {
  if (value === undefined || value === null) return { name, goal, measured: 'not measured', isReached: null };
  return { name, goal, measured: text(value), isReached: reaches(value) };
}

function exponential(value: number): string {
  return value.toExponential(1);
}

function times(value: number): string {
  return `${value.toFixed(2)} times`;
}
