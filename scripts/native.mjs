// Builds the C++ addon: native/**/*.cc (without native/cuda, see cuda.mjs) -> build/lockstep.node, with g++ and the npm package
// node-api-headers. Node built-ins only, no download. Run it directly, or call `buildNative`. CXX names another g++.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const compiler = process.env.CXX ?? 'g++';

// Bits are promised across runs, threads and machines: no contraction of a*b+c, no -march=native, no fast-math.
// The last two only say that nobody reads errno or floating-point exception flags; they change no result.
export const FLAGS = [
  ...['-std=c++20', '-O3', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread'],
  ...['-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math'],
];

// native/isa/*.cc is compiled once per instruction set, each time into a namespace of that name, and chosen at run
// time. -Wno-psabi: wide vectors are never passed between these translation units. Fused multiply-add is used by name
// alone, in matrix products; -ffp-contract=off keeps it out of everything else.
const AVX512 = ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mprefer-vector-width=512'];
const ISAS = {
  sse2: [],
  avx2: ['-mavx2', '-mfma'],
  avx512: AVX512,
  avx512bf16: [...AVX512, '-mavx512bf16'],
};
const ISA_FLAGS = ['-Wno-psabi', '-fno-exceptions'];

/** A failure the user can do something about: the message is one sentence. */
export class NativeBuildError extends Error {}

export function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', (error) => {
      reject(
        error.code === 'ENOENT'
          ? new NativeBuildError(`${command} was not found: install it (Debian: apt-get install g++).`)
          : error,
      );
    });
    child.on('close', (code) => resolve({ ok: code === 0, output }));
  });
}

function headersDirectory() {
  const directory = join(root, 'node_modules', 'node-api-headers', 'include');
  if (!existsSync(directory)) {
    throw new NativeBuildError('The npm package node-api-headers is not installed: run `npm ci` first.');
  }
  return directory;
}

function sourceFiles(directory) {
  const cuda = join(directory, 'cuda');
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(cc|h)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !file.startsWith(cuda) || file === join(cuda, 'device.h')) // a library of its own
    .sort();
}

/** One compiler call per object file. */
function compileJobs(files, include, scratch) {
  const jobs = [];
  const isas = process.arch === 'x64' ? ISAS : { sse2: [] }; // elsewhere: the plain variant only
  for (const file of files.filter((name) => name.endsWith('.cc'))) {
    const name = relative(join(root, 'native'), file).replaceAll('/', '-').replace(/\.cc$/, '');
    const base = [...FLAGS, `-I${include}`, `-I${join(root, 'native')}`];
    const variants = basename(dirname(file)) === 'isa' ? Object.entries(isas) : [['', []]];
    for (const [isa, flags] of variants) {
      const object = join(scratch, `${name}${isa && `-${isa}`}.o`);
      const isaFlags = isa ? [...ISA_FLAGS, ...flags, `-DLOCKSTEP_ISA=${isa}`] : [];
      jobs.push({ file, object, args: [...base, ...isaFlags, '-c', file, '-o', object] });
    }
  }
  return jobs;
}

/** Runs compiler calls, as many at once as there are cores. `job.command` names another compiler. */
export async function compileAll(jobs, log) {
  let next = 0;
  let failed = null;
  const worker = async () => {
    while (next < jobs.length && failed === null) {
      const job = jobs[next++];
      const { ok, output } = await run(job.command ?? compiler, job.args);
      if (output) log(output.trimEnd());
      if (!ok) failed ??= job;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (failed !== null) {
    throw new NativeBuildError(
      `${relative(root, failed.file)} does not compile with ${failed.command ?? compiler}; the compiler's words are above.`,
    );
  }
}

async function fingerprint(files, include) {
  const version = await run(compiler, ['--version']);
  const hash = createHash('sha256');
  hash.update(JSON.stringify([FLAGS, ISAS, ISA_FLAGS, version.output, process.arch]));
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  hash.update(readFileSync(join(include, '..', 'package.json')));
  for (const file of files) hash.update(relative(root, file)).update('\0').update(readFileSync(file));
  return hash.digest('hex');
}

/**
 * Builds build/lockstep.node unless it is there and nothing that goes into it has changed. Asynchronous.
 * Throws NativeBuildError with a sentence for the user.
 */
export async function buildNative({ log = console.error } = {}) {
  const started = performance.now();
  const include = headersDirectory();
  const build = join(root, 'build');
  mkdirSync(build, { recursive: true });
  const scratch = mkdtempSync(join(build, 'objects-')); // of this build alone: two may run at once
  try {
    const files = sourceFiles(join(root, 'native'));
    const stamp = await fingerprint(files, include);
    const stampFile = join(build, 'lockstep.stamp');
    const addon = join(build, 'lockstep.node');
    const current = existsSync(addon) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
    if (!current) {
      const jobs = compileJobs(files, include, scratch);
      await compileAll(jobs, log);
      const linked = join(scratch, 'lockstep.node');
      const objects = jobs.map((job) => job.object);
      const { ok, output } = await run(compiler, ['-shared', '-pthread', '-o', linked, ...objects]);
      if (!ok) {
        log(output.trimEnd());
        throw new NativeBuildError(`The addon does not link with ${compiler}; the linker's words are above.`);
      }
      // A rename: processes that have the old addon loaded keep it, none sees half a file.
      renameSync(linked, addon);
      writeFileSync(stampFile, stamp);
    }
    return { built: !current, seconds: (performance.now() - started) / 1000 };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    const { built, seconds } = await buildNative();
    const what = built ? 'built' : 'up to date';
    console.error(`build/lockstep.node: ${what} (${seconds.toFixed(1)} s)`);
  } catch (error) {
    if (!(error instanceof NativeBuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
