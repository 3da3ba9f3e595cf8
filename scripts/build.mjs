// What builds of C++ have in common: compile what has changed since the last time, link, and put the result in its place at
// once. A build says which files it takes and how; see native.mjs and cuda.mjs. Node built-ins only. CXX names another g++.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os'; // as a whole: an old Node is to be told that it is old, and not to fail at what it lacks
import { basename, dirname, extname, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const compiler = process.env.CXX ?? 'g++';

// Bits are promised across runs, threads and machines: no contraction of a*b+c, no -march=native, no fast-math.
// The last two only say that nobody reads errno or floating-point exception flags; they change no result.
export const FLAGS = [
  ...['-std=c++17', '-O3', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', '-pthread'],
  ...['-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math'],
];

/** A failure the user can do something about: the message is one sentence. */
export class BuildError extends Error {}

/**
 * One library or program.
 * @typedef {object} Build
 * @property {string} name Its file in build/.
 * @property {string} command The compiler, which also links.
 * @property {{file: string, flags: string[]}[]} objects Object files: of what, and how compiled.
 * @property {string[]} link Flags.
 * @property {string[]} inputs Headers, and whatever else the result depends on.
 */

/**
 * Makes build/NAME unless it is there and nothing that goes into it has changed. Throws BuildError.
 * @param {Build} build
 * @param {(text: string) => void} log What compilers say.
 * @param {(share: number) => void} onProgress How much of it is compiled, from 0 to 1.
 */
export async function make({ name, command, objects, link, inputs }, log, onProgress = () => {}) {
  const directory = join(root, 'build');
  const path = join(directory, name);
  const stampFile = join(directory, `${basename(name, extname(name))}.stamp`);
  const stamp = await fingerprint({ command, objects, link, inputs });
  const isCurrent = existsSync(path) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  if (isCurrent) return { built: false, path };
  mkdirSync(directory, { recursive: true });
  const scratch = mkdtempSync(join(directory, 'objects-')); // of this build alone: two may run at once
  try {
    const jobs = objects.map(({ file, flags }, i) => ({ file, flags, object: join(scratch, `${i}.o`) }));
    await compileAll(command, jobs, log, onProgress);
    const linked = join(scratch, name);
    const { ok, output } = await run(command, [...link, '-o', linked, ...jobs.map(({ object }) => object)]);
    if (!ok) {
      log(output.trimEnd());
      throw new BuildError(`${name} does not link with ${command}; the linker's words are above.`);
    }
    // A rename: processes that have the old one loaded keep it, none sees half a file.
    renameSync(linked, path);
    writeFileSync(stampFile, stamp);
    return { built: true, path };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** As many compilers at once as there are cores. */
async function compileAll(command, jobs, log, onProgress) {
  let next = 0;
  let done = 0;
  let failed = null;
  const worker = async () => {
    while (next < jobs.length && failed === null) {
      const job = jobs[next++];
      const { ok, output } = await run(command, [...job.flags, '-c', job.file, '-o', job.object]);
      if (output) log(output.trimEnd());
      if (!ok) failed ??= job;
      onProgress(++done / jobs.length);
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
  if (failed === null) return;
  const file = relative(root, failed.file);
  throw new BuildError(`${file} does not compile with ${command}; the compiler's words are above.`);
}

async function fingerprint({ command, objects, link, inputs }) {
  const { output: version } = await run(command, ['--version']);
  const hash = createHash('sha256').update(JSON.stringify([version, process.arch, objects, link]));
  const files = new Set([...objects.map(({ file }) => file), ...inputs, fileURLToPath(import.meta.url)]);
  for (const file of files) hash.update(`${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

/** Runs a program without input, to its end. Throws BuildError where it cannot be found. */
export function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', (error) => {
      const isMissing = error.code === 'ENOENT';
      const sentence = `${command} was not found: install it (Debian: apt-get install g++).`;
      reject(isMissing ? new BuildError(sentence) : error);
    });
    child.on('close', (code) => resolve({ ok: code === 0, output }));
  });
}

/** Does `work` where the file of that `url` is what Node was started with; a BuildError is told in its own words. */
export async function main(url, work) {
  if (!process.argv[1] || url !== pathToFileURL(realpathSync(process.argv[1])).href) return;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** A line for who started a build by hand. */
export function report({ built, path }, startedAt) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.error(`${relative(root, path)}: ${built ? 'built' : 'up to date'} (${seconds} s)`);
}
