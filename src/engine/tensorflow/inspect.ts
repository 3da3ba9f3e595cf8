// Whether TensorFlow works on this machine, asked of a process that may die of it (check.ts).
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { HOW_TO, installedPackage, type TensorFlowPackage } from './package.js';

export interface TensorFlowInfo {
  readonly package: TensorFlowPackage;
  /** For example "TensorFlow 2.21.0". */
  readonly version: string;
  readonly device: 'CPU' | 'GPU';
}

export type Inspection =
  { readonly info: TensorFlowInfo; readonly fault: null } | { readonly info: null; readonly fault: string };

const TIMEOUT_MS = 120_000; // on a GPU the first product compiles kernels

/** Never throws: `fault` says in words why the engine cannot be used. */
export function inspectTensorFlow(): Promise<Inspection> {
  if (installedPackage() === null) return Promise.resolve({ info: null, fault: `not installed: ${HOW_TO}` });
  const script = fileURLToPath(new URL('./check.js', import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [script], { timeout: TIMEOUT_MS }, (error, stdout) => {
      const line = stdout.trimEnd().split('\n').at(-1) ?? '';
      if (error === null && line.startsWith('{')) resolve(JSON.parse(line) as Inspection);
      else resolve({ info: null, fault: `loading it ended with ${error?.signal ?? `code ${error?.code}`}` });
    });
  });
}
