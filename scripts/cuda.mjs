// Builds the CUDA device: native/cuda -> build/lockstep-cuda.so with nvcc, where a CUDA toolkit is installed. With --emulated:
// build/lockstep-cuda-emulated.so with g++, the same kernels on the CPU, for tests. Node built-ins only, no download.
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
    library: 'lockstep-cuda-emulated',
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
    library: 'lockstep-cuda',
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

function filesOf(directory, ending) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(directory, name))
    .sort();
}

function fingerprint(build, version) {
  const hash = createHash('sha256').update(JSON.stringify([build.compile, build.link, version]));
  const headers = [...filesOf(sources, '.h'), ...filesOf(join(sources, 'emulation'), '.h')];
  const shared = [join(root, 'native', 'operations.h'), join(root, 'native', 'isa', 'kernels.h')];
  for (const file of [...build.files, ...headers, ...shared]) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

/** The version that nvcc tells, such as "13.0"; null where there is none. */
export async function findToolkit() {
  const { ok, output } = await run(nvcc, ['--version']).catch(() => ({ ok: false, output: '' }));
  return ok ? (/release ([\d.]+)/.exec(output)?.[1] ?? 'unknown') : null;
}

/**
 * Builds the library unless it is there and nothing that goes into it has changed. Returns null where nvcc is wanted and
 * missing. Throws NativeBuildError with a sentence for the user.
 */
export async function buildCuda({ emulated = false, log = console.error } = {}) {
  const started = performance.now();
  const version = emulated ? (await run(compiler, ['--version'])).output : await findToolkit();
  if (version === null) return null;
  const build = emulated ? emulatedBuild() : toolkitBuild();
  const directory = join(root, 'build');
  const library = join(directory, `${build.library}.so`);
  const stampFile = join(directory, `${build.library}.stamp`);
  const stamp = fingerprint(build, version);
  const current = existsSync(library) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  const done = () => ({ built: !current, library, version, seconds: (performance.now() - started) / 1000 });
  if (current) return done();
  mkdirSync(directory, { recursive: true });
  const scratch = mkdtempSync(join(directory, 'objects-'));
  try {
    const jobs = build.files.map((file, i) => {
      const object = join(scratch, `${i}.o`);
      return { file, object, command: build.command, args: [...build.compile, file, '-o', object] };
    });
    await compileAll(jobs, log);
    const linked = join(scratch, 'library.so');
    const objects = jobs.map(({ object }) => object);
    const { ok, output } = await run(build.command, [...build.link, '-o', linked, ...objects]);
    if (!ok) {
      log(output.trimEnd());
      throw new NativeBuildError(
        `${build.library}.so does not link with ${build.command}; the linker's words are above.`,
      );
    }
    renameSync(linked, library);
    writeFileSync(stampFile, stamp);
    return done();
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
