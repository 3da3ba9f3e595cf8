// `lockstep doctor`: what this machine has, what a run would use of it and why, and what would make it faster.

import type { Command } from 'commander';
import type { CudaState } from '../engine/native/cuda/inspect.js';
import type { Diagnosis, NativeState, PackageState, TensorFlowState } from './diagnosis.js';
import type { Machine } from './machine.js';
import { counted } from '../util/format.js';
import { ExitCode, outputOf } from './output.js';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('say what this machine offers, what a run would use and how to make it faster')
    .action(async (_options: unknown, command: Command) => {
      const { diagnose } = await import('./diagnosis.js');
      const diagnosis = await diagnose();
      outputOf(command).result(diagnosis, describe(diagnosis));
      if (!diagnosis.usable) process.exitCode = ExitCode.fault;
    });
}

function describe(diagnosis: Diagnosis): string {
  const { chosen, advice } = diagnosis;
  const [native, tensorflow] = diagnosis.engines;
  const rows: [string, string][] = [
    ...machineRows(diagnosis),
    ...nativeRows(native),
    tensorflowRow(tensorflow),
    ...diagnosis.packages.map(packageRow),
    [
      'chosen',
      chosen === null
        ? 'nothing: no run can start here'
        : `${chosen.engine}, ${counted(chosen.threads, 'thread')}: ${chosen.reason}`,
    ],
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  const table = rows.map(([title, value]) => `${title.padEnd(width)}  ${value}`);
  const closing = advice.length === 0 ? ['Nothing to improve.'] : advice.map((line) => `- ${line}`);
  return [...table, '', ...closing].join('\n');
}

function machineRows(machine: Machine): [string, string][] {
  const { node, platform, processor, cores, openFiles, gpus } = machine;
  return [
    ['Node', node],
    ['machine', `${platform}, ${processor}, ${cores} cores, ${gibibytes(machine.memoryBytes)}`],
    ...(gpus.length === 0
      ? [['GPU', 'none that nvidia-smi lists'] as [string, string]]
      : gpus.map(({ name, driver, memoryBytes }): [string, string] => [
          'GPU',
          `${name}, ${gibibytes(memoryBytes)}, driver ${driver}`,
        ])),
    ['open files', openFiles === null ? 'unlimited or unknown' : `at most ${openFiles}`],
  ];
}

function tensorflowRow({ name, info, fault }: TensorFlowState): [string, string] {
  const words =
    info === null
      ? `not usable: ${fault}`
      : `usable: ${info.version} on this machine's ${info.device}, ${info.package}`;
  return [`engine ${name}`, words];
}

function nativeRows({ name, info, fault, productRates, cuda }: NativeState): [string, string][] {
  if (info === null) return [[`engine ${name}`, `not usable: ${fault ?? ''}`]];
  const rates = productRates.map(
    ({ precision, threads, flopsPerSecond }) =>
      `${Math.round(flopsPerSecond / 1e9)} GFLOP/s in ${precision} on ${counted(threads, 'thread')}`,
  );
  return [
    [`engine ${name}`, `usable: ${info.isa} kernels, built by ${info.compiler}`],
    ['matrix product', rates.join('; ')],
    ['CUDA', cudaInWords(cuda)],
  ];
}

function cudaInWords(cuda: CudaState | null): string {
  if (cuda?.fault !== null) return `not usable: ${cuda?.fault ?? 'unknown'}`;
  const names = Array.from({ length: cuda.devices }, (_, index) => `cuda:${index}`);
  return `usable as --device ${names.join(', ')}; unverified: so far the kernels ran emulated only`;
}

function packageRow({ name, version, fault }: PackageState): [string, string] {
  return [name, fault === null ? (version ?? 'loads') : `does not load: ${fault}`];
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
