// What `bench engine` and `bench gpu` print of a comparison.
import type { Comparison, Measurement } from './step-comparison.js';
import { ownArm, tfjsArm } from './arms.js';
import { percent } from './percent.js';
import { counted } from '../../src/util/format.js';
import { table } from '../../src/util/table.js';

/** `profile`: where the time of this engine's step goes, kernel by kernel. */
export function describeComparison(comparison: Comparison, profile: boolean): string {
  const { measurements } = comparison;
  const own = measurements.filter(({ kernels }) => kernels.length > 0);
  return [
    heading(comparison),
    '',
    table([
      [
        '',
        'threads',
        's/step',
        'range',
        'tokens/s',
        'GFLOP/s',
        'of ceiling',
        'peak MiB',
        '× torch',
        'by round',
      ],
      ...measurements.map(row),
    ]),
    '',
    ...speedUps(measurements),
    ...timesTensorFlow(measurements),
    ...own.map(hostTime),
    ...measurements.flatMap(waitTime),
    ...(profile ? own.flatMap(kernelTable) : []),
  ].join('\n');
}

function heading(comparison: Comparison): string {
  const { workload, precision, parameters, tokensPerStep, flopsPerStep } = comparison;
  const { ceiling, ceilingFlopsPerSecond: rate } = comparison;
  return [
    `${workload.name}, ${precision}: ${millions(parameters)} million parameters, ${tokensPerStep} tokens and`,
    `${giga(flopsPerStep)} GFLOP a step; ceiling`,
    ceiling === null || rate === null ? 'not measured' : `(${ceiling}): ${giga(rate)} GFLOP/s`,
  ].join(' ');
}

function row(measurement: Measurement): string[] {
  const steps = measurement.rounds.flat();
  const { shareOfCeiling, timesBestTorch, timesBestTorchByRound: byRound } = measurement;
  return [
    measurement.arm,
    String(measurement.threads),
    seconds(measurement.medianSeconds),
    `${seconds(Math.min(...steps))}-${seconds(Math.max(...steps))}`,
    String(Math.round(measurement.tokensPerSecond)),
    giga(measurement.flopsPerSecond),
    shareOfCeiling === null ? '-' : percent(shareOfCeiling),
    String(Math.round(measurement.peakBytes / 2 ** 20)),
    timesBestTorch === null ? '-' : timesBestTorch.toFixed(2),
    byRound.length === 0 ? '-' : byRound.map((value) => value.toFixed(2)).join(' '),
  ];
}

/** From the fewest threads to each other number, arm by arm. */
function speedUps(measurements: readonly Measurement[]): string[] {
  const fewest = Math.min(...measurements.map(({ threads }) => threads));
  const of = (other: Measurement): string | undefined => {
    const base = measurements.find(({ arm, threads }) => arm === other.arm && threads === fewest);
    return base && `${other.arm} ${(base.medianSeconds / other.medianSeconds).toFixed(2)}`;
  };
  const others = [...new Set(measurements.map(({ threads }) => threads))].filter((n) => n !== fewest);
  return others.map((threads) => {
    const ratios = measurements.filter((measurement) => measurement.threads === threads).map(of);
    return `speed-up from ${counted(fewest, 'thread')} to ${threads}: ${ratios.join('; ')}`;
  });
}

/** This engine against TensorFlow, through our own kernels and through tfjs. */
function timesTensorFlow(measurements: readonly Measurement[]): string[] {
  const others = measurements.filter(({ arm }) => arm === ownArm('tensorflow').name || arm === tfjsArm.name);
  return others.map(({ arm, threads, medianSeconds }) => {
    const ratios = measurements
      .filter((own) => own.kernels.length > 0 && own.threads === threads)
      .map((own) => `${own.arm} ${(medianSeconds / own.medianSeconds).toFixed(2)} times`);
    return `faster than ${arm}, ${counted(threads, 'thread')}: ${ratios.join('; ')}`;
  });
}

function hostTime({ arm, threads, hostSeconds, kernels }: Measurement): string {
  const host = hostSeconds ?? NaN;
  const step = host + sum(kernels.map((kernel) => kernel.seconds));
  const ms = milliseconds(host);
  return `${arm}, ${counted(threads, 'thread')}: ${ms} ms of a step outside kernels (${percent(host / step)})`;
}

function waitTime({ arm, waitShare }: Measurement): string[] {
  if (waitShare === null) return [];
  return [`${arm}: the device may have waited for the host in ${percent(waitShare)} of a step, at most`];
}

function kernelTable({ arm, threads, kernels, hostSeconds }: Measurement): string[] {
  const step = (hostSeconds ?? NaN) + sum(kernels.map((kernel) => kernel.seconds));
  const line = (name: string, calls: string, of: number): string[] => [
    name,
    calls,
    milliseconds(of),
    percent(of / step),
  ];
  return [
    '',
    `${arm}, ${counted(threads, 'thread')}: means of a step`,
    table([
      ['', 'calls', 'ms', 'share'],
      ...kernels.map(({ name, calls, seconds: spent }) => line(name, String(Math.round(calls)), spent)),
      line('outside kernels', '', hostSeconds ?? NaN),
    ]),
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function seconds(value: number): string {
  return value.toFixed(3);
}

function milliseconds(ofSeconds: number): string {
  return (1000 * ofSeconds).toFixed(1);
}

function giga(value: number): string {
  return (value / 1e9).toFixed(1);
}

function millions(value: number): string {
  return (value / 1e6).toFixed(1);
}
