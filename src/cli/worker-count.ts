// How many workers `train --workers auto` starts, and why.
import type { RunConfig } from '../config/schema.js';

export interface WorkerCount {
  readonly count: number;
  /** In a few words. */
  readonly reason: string;
}

/** @param gpus those that the workers may use */
export function chooseWorkers(
  { engine, device, threads }: RunConfig['worker'],
  { cores, gpus }: { readonly cores: number; readonly gpus: number },
): WorkerCount {
  const computesOnGpu = device === 'cuda' || engine === 'tensorflow';
  if (computesOnGpu && gpus > 0) return { count: gpus, reason: `one for each GPU of ${gpus}` };
  if (threads === 'auto' || threads === 1) return { count: cores, reason: `one for each core of ${cores}` };
  const count = Math.max(1, Math.floor(cores / threads));
  return { count, reason: `${threads} threads each, on ${cores} cores` };
}

/** How many of the machine's GPUs CUDA_VISIBLE_DEVICES leaves: all where it is not set. */
export function visibleGpus(all: number, visible: string | undefined): number {
  return visible === undefined ? all : visible.split(',').filter((gpu) => gpu !== '').length;
}
