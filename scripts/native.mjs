// Builds the C++ addon: native/**/*.cc (without native/cuda, see cuda.mjs) -> build/lockstep.node, with g++ and the npm package
// node-api-headers. No download. Run it directly, or call `buildNative`.

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { BuildError, compiler, FLAGS, main, make, report, root } from './build.mjs';

const sources = join(root, 'native');

// native/isa/*.cc is compiled once per instruction set, each time into a namespace of that name, and chosen at run
// time. -Wno-psabi: wide vectors are never passed between these translation units. Fused multiply-add is used by name
// alone (multiplyAdd, fused); -ffp-contract=off keeps it out of everything else.
const AVX512 = ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mprefer-vector-width=512'];
const ISAS = {
  sse2: [],
  avx2: ['-mavx2', '-mfma'],
  avx512: AVX512,
  avx512bf16: [...AVX512, '-mavx512bf16'],
  amx: [...AVX512, '-mavx512bf16', '-mamx-tile', '-mamx-bf16'],
};
const ISA_FLAGS = ['-Wno-psabi', '-fno-exceptions'];

/** The folder of Node-API's headers. */
function headers() {
  const directory = join(root, 'node_modules', 'node-api-headers', 'include');
  if (existsSync(directory)) return directory;
  throw new BuildError('The npm package node-api-headers is not installed: run `npm ci` first.');
}

function sourceFiles() {
  const cuda = join(sources, 'cuda');
  return readdirSync(sources, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(cc|h)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !file.startsWith(cuda) || file === join(cuda, 'device.h')) // a library of its own
    .sort();
}

/** One object file of each source, or one for each instruction set. */
function objectsOf(file, include) {
  const base = [...FLAGS, `-I${include}`, `-I${sources}`];
  if (basename(dirname(file)) !== 'isa') return [{ file, flags: base }];
  const isas = process.arch === 'x64' ? ISAS : { sse2: [] }; // elsewhere: the plain variant only
  return Object.entries(isas).map(([isa, flags]) => ({
    file,
    flags: [...base, ...ISA_FLAGS, ...flags, `-DLOCKSTEP_ISA=${isa}`],
  }));
}

/** Builds build/lockstep.node unless it is current. Throws BuildError with a sentence for the user. */
export async function buildNative({ log = console.error, onProgress } = {}) {
  const include = headers();
  const files = sourceFiles();
  const build = {
    name: 'lockstep.node',
    command: compiler,
    objects: files.filter((file) => file.endsWith('.cc')).flatMap((file) => objectsOf(file, include)),
    link: ['-shared', '-pthread'],
    inputs: [...files.filter((file) => file.endsWith('.h')), join(include, '..', 'package.json')],
  };
  return make(build, log, onProgress);
}

await main(import.meta.url, async () => {
  const startedAt = performance.now();
  report(await buildNative(), startedAt);
});
