// The program that holds the CUDA device's kernels against references in float64 (native/cuda/check), as the benchmark quotes it.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { packageRoot } from '../../src/util/package.js';

export interface KernelErrors {
  /** The largest error of any kernel, relative to the largest value expected. */
  readonly float32: number;
  readonly bfloat16: number;
  /** Whether every kernel keeps to its tolerance, TF32 included. */
  readonly isGood: boolean;
}

/** @param library the kernels that the engine loads */
export async function checkKernels(library: string, signal: AbortSignal): Promise<KernelErrors> {
  const program = `${packageRoot}build/lockstep-cuda-kernels`;
  const child = spawn(program, [library], { stdio: ['ignore', 'pipe', 'pipe'], signal });
  const [output, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve)),
  ]);
  if (code !== 0 && code !== 1) throw new Error(`${program} ended with ${code}: ${errors.trim()}`);
  const worst = (arithmetic: string): number => {
    const lines = output.matchAll(new RegExp(`^\\w+ +${arithmetic} +(\\S+)`, 'gm'));
    return Math.max(...[...lines].map(([, error]) => Number(error)));
  };
  return { float32: worst('float32'), bfloat16: worst('bfloat16'), isGood: code === 0 };
}
