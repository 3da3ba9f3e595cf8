// What `lockstep doctor` finds out: which engines and packages work here, what a run would use and why, and what would
// make it work, or work faster.

import { readFileSync } from 'node:fs';
import type { AddonInfo } from '../engine/native/addon.js';
import { type Precision, precisions } from '../engine/names.js';
import { isMadeFor } from '../engine/precision.js';
import { type CudaState, inspectCuda } from '../engine/native/cuda/inspect.js';
import { loadAddon } from '../engine/native/load.js';
import { inspectTensorFlow, type TensorFlowInfo } from '../engine/tensorflow/inspect.js';
import { messageOf, UserError } from '../util/errors.js';
import { packageRoot } from '../util/package.js';
import { inspectMachine, type Machine } from './machine.js';
import { measureProductRate, type ProductRate } from './product-rate.js';

/** Below it a coordinator of a few hundred workers would run out. */
const FEW_OPEN_FILES = 4096;
/** Of products: less of a step is won than of them. */
const WORTHWHILE_GAIN = 1.5;

export interface PackageState {
  readonly name: string;
  readonly version: string | null;
  /** Why it does not load; null: it does. */
  readonly fault: string | null;
}

export interface NativeState {
  readonly name: 'native';
  readonly info: AddonInfo | null;
  /** With one thread and with all; empty where the engine is not usable. */
  readonly productRates: readonly ProductRate[];
  /** Null where the engine is not usable. */
  readonly cuda: CudaState | null;
  /** Why the engine cannot be used; null: it can. */
  readonly fault: string | null;
}

export interface TensorFlowState {
  readonly name: 'tensorflow';
  readonly info: TensorFlowInfo | null;
  readonly fault: string | null;
}

/** What --json prints. */
export interface Diagnosis extends Machine {
  /** Whether a run can start here. */
  readonly usable: boolean;
  readonly engines: readonly [NativeState, TensorFlowState];
  readonly packages: readonly PackageState[];
  readonly chosen: { readonly engine: string; readonly threads: number; readonly reason: string } | null;
  /** What to do so that it works, or works faster. */
  readonly advice: readonly string[];
}

export async function diagnose(): Promise<Diagnosis> {
  const machine = await inspectMachine();
  const native = nativeEngine(machine.cores);
  const tensorflow = await tensorflowEngine();
  const packages = await Promise.all(['zeromq', 'tokenizers'].map(packageState));
  return {
    usable: native.info !== null && packages.every(({ fault }) => fault === null),
    ...machine,
    engines: [native, tensorflow],
    packages,
    chosen: native.info && {
      engine: 'native',
      threads: machine.cores,
      reason: reasonFor(native.info, machine),
    },
    advice: adviceFor(machine, native, tensorflow, packages),
  };
}

async function tensorflowEngine(): Promise<TensorFlowState> {
  return { name: 'tensorflow', ...(await inspectTensorFlow()) };
}

function nativeEngine(cores: number): NativeState {
  try {
    const addon = loadAddon();
    const threads = cores === 1 ? [1] : [1, cores];
    const info = addon.info();
    const productRates = precisions
      .filter((precision) => isMadeFor(precision, info))
      .flatMap((precision) => threads.map((count) => measureProductRate(addon, precision, count)));
    return { name: 'native', info, productRates, cuda: inspectCuda(addon), fault: null };
  } catch (error) {
    // What the user mistyped is no state of the machine.
    if (error instanceof UserError && error.code === 'ISA_INVALID') throw error;
    return { name: 'native', info: null, productRates: [], cuda: null, fault: messageOf(error) };
  }
}

async function packageState(name: string): Promise<PackageState> {
  let version: string | null = null;
  try {
    const file = `${packageRoot}node_modules/${name}/package.json`;
    ({ version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string });
  } catch {
    // Installed elsewhere, or not at all: loading it tells.
  }
  try {
    await import(name);
    return { name, version, fault: null };
  } catch (error) {
    return { name, version, fault: messageOf(error) };
  }
}

function reasonFor(info: AddonInfo, { gpus }: Machine): string {
  return [
    gpus.length === 0
      ? 'it is the engine for CPUs, and there is no GPU'
      : 'it is the default, and leaves the GPU alone',
    `${info.isa} is the best instruction set that it and this processor share`,
  ].join('; ');
}

/** Its rate by float32's, on all cores; 0 where it was not measured. */
function gainOf(precision: Precision, rates: readonly ProductRate[]): number {
  const last = (wanted: Precision): number =>
    rates.findLast((rate) => rate.precision === wanted)?.flopsPerSecond ?? 0;
  return rates.length === 0 ? 0 : last(precision) / last('float32');
}

function adviceFor(
  machine: Machine,
  { info: native, cuda, productRates }: NativeState,
  tensorflow: TensorFlowState,
  packages: readonly PackageState[],
): string[] {
  const advice: string[] = [];
  if (machine.gpus.length > 0 && (cuda?.devices ?? 0) > 0) {
    advice.push(
      'To compute on the GPU: workers with `--device cuda:0`. No GPU has run these kernels yet: compare a run with the processor first.',
    );
  } else if (machine.gpus.length > 0 && tensorflow.info?.device !== 'GPU') {
    advice.push(
      'To compute on the GPU: install a CUDA toolkit, then `npm run setup`; or `npx lockstep setup tensorflow --gpu`, then workers with `--engine tensorflow`.',
    );
  }
  if (native === null) advice.push('Run `npm run setup` to build the native engine.');
  for (const [precision, how] of [
    ['bfloat16', ''],
    ['bfloat16x6', ' and are as exact as in float32'],
  ] as const) {
    const gain = gainOf(precision, productRates);
    if (gain < WORTHWHILE_GAIN) continue;
    const times = gain.toFixed(1);
    advice.push(
      `To train faster: \`precision: ${precision}\`, whose products run ${times} times as fast here${how}.`,
    );
  }
  for (const { name, fault } of packages) {
    if (fault !== null) advice.push(`Run \`npm rebuild ${name}\`: it does not load.`);
  }
  if (machine.openFiles !== null && machine.openFiles < FEW_OPEN_FILES) {
    advice.push('Raise the limit of open files for more than a few hundred workers: `ulimit -n 65536`.');
  }
  return advice;
}
