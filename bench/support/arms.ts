// The processes that `bench engine` and `bench gpu` compare: Lockstep's engines, PyTorch as fast as it gets on this machine, and
// TensorFlow.js.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package.js';
import { messageOf } from '../../src/util/errors.js';
import type { AnsweringCommand } from './answering-process.js';
import { Peer } from './peer.js';
import type { DeviceName, EngineName } from '../../src/engine/names.js';
import type { Precision } from '../../src/engine/names.js';
import { QUICK, type StepWorkload } from './step-workload.js';

const OWN_PEER = fileURLToPath(new URL('../peers/own-peer.js', import.meta.url));
const TFJS_PEER = fileURLToPath(new URL('../peers/tfjs-peer.js', import.meta.url));
const TORCH_PEER = `${packageRoot}bench/peers/torch_peer.py`;
const WARM_UP_STEPS = 2;

/** What PyTorch trains in too. */
export const torchPrecisions = ['float32', 'bfloat16'] as const satisfies readonly Precision[];
export type TorchPrecision = (typeof torchPrecisions)[number];

/** What a process is to run. */
export interface Task {
  readonly workload: StepWorkload;
  readonly precision: TorchPrecision;
  readonly threads: number;
}

export interface Arm {
  readonly name: string;
  readonly isTorch: boolean;
  command(task: Task): AnsweringCommand;
}

/** This project's own, on either of its engines; `precision`: another one than the task's. */
export function ownArm(
  engine: EngineName,
  { device = 'cpu', precision }: { readonly device?: DeviceName; readonly precision?: Precision } = {},
): Arm {
  const how = precision === undefined ? '' : ` in ${precision}`;
  return {
    name: engine === 'native' ? `lockstep${how}` : `lockstep on ${engine}`,
    isTorch: false,
    command: (task) => ({
      program: process.execPath,
      args: [
        ...[OWN_PEER, ...argumentsOf(task, precision), ...compileSteps(task)],
        ...['--engine', engine, '--device', device],
      ],
      environment: {},
    }),
  };
}

/** How many steps of a tiny model make V8 compile what a run of hours has compiled. */
function compileSteps({ workload }: Task): string[] {
  return ['--compile-steps', workload === QUICK ? '1' : '150'];
}

/** All peers take the same. */
function argumentsOf(
  { workload, precision: ofTask, threads }: Task,
  precision: Precision = ofTask,
): string[] {
  const { vocabulary, width, heads, feedForward: ff, layers, samples, length } = workload;
  const sizes = { vocabulary, width, heads, ff, layers, samples, length, threads, 'warm-up': WARM_UP_STEPS };
  const numbers = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return [...numbers, '--precision', precision];
}

/** Where torch's memory comes from. */
interface Allocator {
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
}

const DEFAULT_ALLOCATOR: Allocator = { name: 'default malloc', environment: {} };
/** glibc's malloc gives large blocks back to the system at once, and torch asks for them again at every step. */
const KEEPING_ALLOCATOR: Allocator = {
  name: 'malloc that keeps memory',
  environment: {
    MALLOC_TRIM_THRESHOLD_: '4000000000',
    MALLOC_MMAP_THRESHOLD_: '4000000000',
    MALLOC_TOP_PAD_: '100000000',
  },
};

/** glibc's two ways, and the other allocators that are installed. */
async function allocators(): Promise<Allocator[]> {
  const known = await execFileText('/sbin/ldconfig', ['-p']).catch(() => '');
  const installed = [...known.matchAll(/^\s*lib(jemalloc|tcmalloc|tcmalloc_minimal)\.so\S* .*=> (\S+)$/gm)];
  const byName = new Map(installed.map(([, name, path]) => [name!, path!]));
  const others = [...byName].map(([name, path]) => ({ name, environment: { LD_PRELOAD: path } }));
  return [DEFAULT_ALLOCATOR, KEEPING_ALLOCATOR, ...others];
}

/** TensorFlow.js as its users train with it, on the package that the `tensorflow` engine uses. */
export const tfjsArm: Arm = {
  name: 'tfjs',
  isTorch: false,
  command: (task) => ({
    program: process.execPath,
    args: [TFJS_PEER, ...argumentsOf(task)],
    environment: {},
  }),
};

/** Eager and compiled torch on a CUDA device, without what does not run here. */
export async function torchDeviceArms(
  python: string,
  task: Task,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<Arm[]> {
  const arms: Arm[] = [];
  for (const compile of [false, true]) {
    const arm = torchArm(python, compile, { name: 'cuda', environment: {} }, ['--device', 'cuda']);
    try {
      note(`${arm.name}: about ${(await probe(arm, task, signal)).toFixed(3)} s a step`);
      arms.push(arm);
    } catch (error) {
      if (signal.aborted) throw error;
      note(`without ${arm.name}: ${messageOf(error)}`);
    }
  }
  return arms;
}

function torchArm(python: string, compile: boolean, allocator: Allocator, more: readonly string[] = []): Arm {
  return {
    name: `torch ${compile ? 'compiled' : 'eager'}, ${allocator.name}`,
    isTorch: true,
    command: (task) => ({
      program: python,
      args: [TORCH_PEER, ...argumentsOf(task), ...(compile ? ['--compile'] : []), ...more],
      environment: allocator.environment,
    }),
  };
}

/**
 * Eager and compiled torch, each with the allocator that makes it fastest: two steps of `task` each tell. Without what does
 * not run here; none of them where `python` has no torch.
 */
export async function torchArms(
  python: string,
  task: Task,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<Arm[]> {
  try {
    await execFileText(python, ['-c', 'import torch']);
  } catch (error) {
    const [firstLine] = messageOf(error).split('\n');
    note(`without torch, which ${python} does not have: pass --python PATH of one that does (${firstLine})`);
    return [];
  }
  const chosen: Arm[] = [];
  for (const compile of [false, true]) {
    let best: { arm: Arm; seconds: number } | undefined;
    for (const allocator of await allocators()) {
      const arm = torchArm(python, compile, allocator);
      try {
        const seconds = await probe(arm, task, signal);
        note(`${arm.name}: about ${seconds.toFixed(2)} s a step`);
        if (best === undefined || seconds < best.seconds) best = { arm, seconds };
      } catch (error) {
        if (signal.aborted) throw error;
        note(`without ${arm.name}: ${messageOf(error)}`);
      }
    }
    if (best) chosen.push(best.arm);
  }
  return chosen;
}

async function probe(arm: Arm, task: Task, signal: AbortSignal): Promise<number> {
  const { peer } = await Peer.start(arm.command(task), signal);
  try {
    return Math.min(...(await peer.run(2)).seconds);
  } finally {
    await peer.close();
  }
}

async function execFileText(program: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, args)).stdout;
}
