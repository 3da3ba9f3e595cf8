// What `lockstep doctor` asks the system about the machine.

import { execFile } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { openFileLimit } from './file-limit.js';

const GPU_QUERY_TIMEOUT_MS = 5000;

export interface Gpu {
  readonly name: string;
  readonly driver: string;
  readonly memoryBytes: number;
}

export interface Machine {
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** The limit of open files, as each worker takes a few; null: unknown or none. */
  readonly openFiles: number | null;
  /** NVIDIA's, as nvidia-smi lists them; empty where that is not installed. */
  readonly gpus: readonly Gpu[];
}

export async function inspectMachine(): Promise<Machine> {
  const openFiles = openFileLimit();
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    openFiles: Number.isFinite(openFiles) ? openFiles : null,
    gpus: await nvidiaGpus(),
  };
}

export async function nvidiaGpus(): Promise<Gpu[]> {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits'];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: GPU_QUERY_TIMEOUT_MS });
    return parseGpus(stdout);
  } catch {
    return []; // not installed, or without a driver that answers
  }
}

/** Lines such as "NVIDIA H100 80GB HBM3, 550.54.15, 81559", the memory in MiB. */
export function parseGpus(csv: string): Gpu[] {
  return csv
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 3)
    .map(([name, driver, mebibytes]) => ({
      name: name!,
      driver: driver!,
      memoryBytes: (Number(mebibytes) || 0) * 2 ** 20,
    }));
}
