// Builds the CUDA device: native/cuda -> build/lockstep-cuda.so with nvcc, where a CUDA toolkit is installed. With --emulated:
// build/lockstep-cuda-emulated.so with g++, the same kernels on the CPU, for tests. Beside either, build/lockstep-cuda-kernels: a
// program that holds the library's kernels against references (native/cuda/check). No download.
//
// LOCKSTEP_CUDA_ARCHITECTURES=90,100 chooses the cards to build for (default 90, the H100 and H200). Other cards since 80, the
// A100, compile the kernels when they load them first. NVCC names another nvcc.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { compiler, FLAGS, main, make, report, root, run } from './build.mjs';

const sources = join(root, 'native', 'cuda');
const INCLUDES = [`-I${join(root, 'native')}`, `-I${sources}`];
// Only used by the toolkit's own build: the emulation has plain loops in their place.
const OF_THE_TOOLKIT = ['product.cu', 'sort.cu'];

const nvcc = process.env.NVCC ?? 'nvcc';

function emulatedBuild() {
  const flags = [...FLAGS, '-Wno-unknown-pragmas', '-DLOCKSTEP_CUDA_EMULATION=1', ...INCLUDES, '-x', 'c++'];
  const files = [
    ...filesOf(sources, '.cu').filter((file) => !OF_THE_TOOLKIT.some((name) => file.endsWith(`/${name}`))),
    ...filesOf(join(sources, 'emulation'), '.cc'),
  ];
  return {
    name: 'lockstep-cuda-emulated.so',
    command: compiler,
    objects: files.map((file) => ({ file, flags })),
    link: ['-shared', '-pthread'],
    inputs: headers(),
  };
}

function toolkitBuild() {
  const architectures = (process.env.LOCKSTEP_CUDA_ARCHITECTURES ?? '90').split(',');
  // Nothing in the kernels is newer than 80: one front end's work serves all.
  const codes = ['compute_80', ...architectures.map((architecture) => `sm_${architecture}`)];
  const targets = ['-gencode', `arch=compute_80,code=[${codes.join(',')}]`];
  const host = ['-Xcompiler', '-fPIC,-fvisibility=hidden,-Wall'];
  const flags = ['-std=c++17', '-O3', ...host, ...targets, ...INCLUDES];
  return {
    name: 'lockstep-cuda.so',
    command: nvcc,
    objects: filesOf(sources, '.cu').map((file) => ({ file, flags })),
    link: ['-shared', '-cudart', 'static', '-Xcompiler', '-fPIC', '-ldl'],
    inputs: headers(),
  };
}

/** It loads either library, and needs neither to be built. */
function programBuild() {
  const flags = [...FLAGS, ...INCLUDES];
  return {
    name: 'lockstep-cuda-kernels',
    command: compiler,
    objects: filesOf(join(sources, 'check'), '.cc').map((file) => ({ file, flags })),
    link: ['-ldl'],
    inputs: headers(),
  };
}

function filesOf(directory, ending) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(directory, name))
    .sort();
}

function headers() {
  const shared = ['operations.h', 'philox.h', 'isa/kernels.h'].map((name) => join(root, 'native', name));
  return [
    ...shared,
    ...['.', 'emulation', 'check'].flatMap((folder) => filesOf(join(sources, folder), '.h')),
  ];
}

/** The version that nvcc tells, such as "13.0"; null where there is none. */
async function findToolkit() {
  const { ok, output } = await run(nvcc, ['--version']).catch(() => ({ ok: false, output: '' }));
  return ok ? (/release ([\d.]+)/.exec(output)?.[1] ?? 'unknown') : null;
}

/**
 * Builds the library, and the program that checks it, unless they are current. Returns null where nvcc is wanted and missing.
 * Throws BuildError with a sentence for the user.
 */
export async function buildCuda({ emulated = false, log = console.error } = {}) {
  const version = emulated ? null : await findToolkit();
  if (!emulated && version === null) return null;
  const library = await make(emulated ? emulatedBuild() : toolkitBuild(), log);
  const program = await make(programBuild(), log);
  return { built: library.built || program.built, library: library.path, program: program.path, version };
}

await main(import.meta.url, async () => {
  const startedAt = performance.now();
  const result = await buildCuda({ emulated: process.argv.includes('--emulated') });
  if (result === null) console.error(`${nvcc} was not found: no CUDA device is built`);
  else report({ built: result.built, path: result.library }, startedAt);
});
