// Builds the CUDA device: native/cuda -> build/lockstep-cuda.so with nvcc, where a CUDA toolkit is installed. With --emulated:
// build/lockstep-cuda-emulated.so with g++, the same kernels on the CPU, for tests. Beside either, build/lockstep-cuda-kernels: a
// program that holds the library's kernels against references (native/cuda/check). Node built-ins only, no download.
//
// LOCKSTEP_CUDA_ARCHITECTURES=90,100 chooses the cards to build for (default 90, the H100 and H200). Other cards since 80, the
// A100, compile the kernels when they load them first. NVCC names another nvcc.

import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compileAll, compiler, FLAGS, NativeBuildError, run } from './native.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'native', 'cuda');
const INCLUDES = [`-I${join(root, 'native')}`, `-I${sources}`];
// Only used by the toolkit's own build: the emulation has plain loops in their place.
const OF_THE_TOOLKIT = ['product.cu', 'sort.cu'];

const nvcc = process.env.NVCC ?? 'nvcc';

/** One build: where it goes, what its files are compiled with, and how it is linked. */
function emulatedBuild() {
  const flags = [...FLAGS, '-Wno-unknown-pragmas', '-DLOCKSTEP_CUDA_EMULATION=1', ...INCLUDES];
  return {
    name: 'lockstep-cuda-emulated.so',
    command: compiler,
    files: [
      ...filesOf(sources, '.cu').filter((file) => !OF_THE_TOOLKIT.some((name) => file.endsWith(`/${name}`))),
      ...filesOf(join(sources, 'emulation'), '.cc'),
    ],
    compile: [...flags, '-x', 'c++', '-c'],
    link: ['-shared', '-pthread'],
  };
}

function toolkitBuild() {
  const architectures = (process.env.LOCKSTEP_CUDA_ARCHITECTURES ?? '90').split(',');
  // Nothing in the kernels is newer than 80: one front end's work serves all.
  const codes = ['compute_80', ...architectures.map((architecture) => `sm_${architecture}`)];
  const targets = ['-gencode', `arch=compute_80,code=[${codes.join(',')}]`];
  return {
    name: 'lockstep-cuda.so',
    command: nvcc,
    files: filesOf(sources, '.cu'),
    compile: [
      '-std=c++17',
      '-O3',
      '-Xcompiler',
      '-fPIC,-fvisibility=hidden,-Wall',
      ...targets,
      ...INCLUDES,
      '-c',
    ],
    link: ['-shared', '-cudart', 'static', '-Xcompiler', '-fPIC', '-ldl'],
  };
}

/** It loads either library, and needs neither to be built. */
function programBuild() {
  return {
    name: 'lockstep-cuda-kernels',
    command: compiler,
    files: filesOf(join(sources, 'check'), '.cc'),
    compile: [...FLAGS, ...INCLUDES, '-c'],
    link: ['-ldl'],
  };
}

function filesOf(directory, ending) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(directory, name))
    .sort();
}

function fingerprint(build, version) {
  const hash = createHash('sha256').update(JSON.stringify([build.compile, build.link, version]));
  const headers = ['.', 'emulation', 'check'].flatMap((folder) => filesOf(join(sources, folder), '.h'));
  const shared = ['operations.h', 'philox.h', 'isa/kernels.h'].map((name) => join(root, 'native', name));
  for (const file of [...build.files, ...headers, ...shared]) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

/** The version that nvcc tells, such as "13.0"; null where there is none. */
async function findToolkit() {
  const { ok, output } = await run(nvcc, ['--version']).catch(() => ({ ok: false, output: '' }));
  return ok ? (/release ([\d.]+)/.exec(output)?.[1] ?? 'unknown') : null;
}

/**
 * Builds the library, and the program that checks it, unless they are there and nothing that goes into them has changed. Returns
 * null where nvcc is wanted and missing. Throws NativeBuildError with a sentence for the user.
 */
export async function buildCuda({ emulated = false, log = console.error } = {}) {
  const started = performance.now();
  const ofCompiler = (await run(compiler, ['--version'])).output;
  const version = emulated ? ofCompiler : await findToolkit();
  if (version === null) return null;
  const library = await make(emulated ? emulatedBuild() : toolkitBuild(), version, log);
  const program = await make(programBuild(), ofCompiler, log);
  return {
    built: library.built || program.built,
    library: library.path,
    program: program.path,
    version,
    seconds: (performance.now() - started) / 1000,
  };
}

async function make(build, version, log) {
  const directory = join(root, 'build');
  const path = join(directory, build.name);
  const stampFile = join(directory, `${build.name.replace(/\.so$/, '')}.stamp`);
  const stamp = fingerprint(build, version);
  if (existsSync(path) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    return { built: false, path };
  }
  mkdirSync(directory, { recursive: true });
  const scratch = mkdtempSync(join(directory, 'objects-'));
  try {
    const jobs = build.files.map((file, i) => {
      const object = join(scratch, `${i}.o`);
      return { file, object, command: build.command, args: [...build.compile, file, '-o', object] };
    });
    await compileAll(jobs, log);
    const linked = join(scratch, build.name);
    const objects = jobs.map(({ object }) => object);
    const { ok, output } = await run(build.command, [...build.link, '-o', linked, ...objects]);
    if (!ok) {
      log(output.trimEnd());
      throw new NativeBuildError(
        `${build.name} does not link with ${build.command}; the linker's words are above.`,
      );
    }
    renameSync(linked, path);
    writeFileSync(stampFile, stamp);
    return { built: true, path };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    const result = await buildCuda({ emulated: process.argv.includes('--emulated') });
    if (result === null) console.error(`${nvcc} was not found: no CUDA device is built`);
    else
      console.error(
        `${result.library}: ${result.built ? 'built' : 'up to date'} (${result.seconds.toFixed(1)} s)`,
      );
  } catch (error) {
    if (!(error instanceof NativeBuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
