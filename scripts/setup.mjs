// Sets everything up: npm packages, native addon, TypeScript. Idempotent, from any folder, with Node's built-ins only. A
// step that fails ends with one sentence of what to do.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { BuildError, compiler, root } from './build.mjs';
import { buildCuda } from './cuda.mjs';
import { acquireLock } from './lock.mjs';
import { buildNative } from './native.mjs';

// ---- what is printed: one line a step, written as "name … " when it begins and completed when it ends

let lineOpen = false;

function begin(name) {
  process.stderr.write(`${name} … `);
  lineOpen = true;
}

function end(text, startedAt) {
  process.stderr.write(`${lineOpen ? '' : '  '}${text} (${secondsSince(startedAt)} s)\n`);
  lineOpen = false;
}

function secondsSince(startedAt) {
  return ((performance.now() - startedAt) / 1000).toFixed(1);
}

function say(text) {
  process.stderr.write(`${lineOpen ? '\n' : ''}${text.replace(/^/gm, '  ')}\n`);
  lineOpen = false;
}

/** A dot for each tenth of what takes minutes. */
function dots() {
  let printed = 0;
  return (share) => {
    const wanted = lineOpen ? Math.floor(10 * share) : 0;
    if (wanted <= printed) return;
    process.stderr.write('.'.repeat(wanted - printed) + (wanted === 10 ? ' ' : ''));
    printed = wanted;
  };
}

async function step(name, work) {
  const startedAt = performance.now();
  begin(name);
  try {
    end(await work(), startedAt);
  } catch (error) {
    end('failed', startedAt);
    // What a step did not foresee is told in its own words, without a stack.
    throw error instanceof BuildError ? error : new BuildError(`${name} failed: ${error?.message ?? error}`);
  }
}

// ---- other programs

/** Runs a program without input; resolves to its exit code (-1: it could not be started) and its whole output. */
function run(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', (error) => resolve({ code: -1, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}

/** The end of a program's output, without stack traces. */
function lastLines(output, count = 12) {
  const lines = output.trimEnd().split('\n');
  return lines
    .filter((line) => !/^(npm \S+)? +at /.test(line))
    .slice(-count)
    .join('\n');
}

// ---- the steps

function checkNode() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const wanted = engines.node.replace('>=', '').split('.').map(Number);
  const found = process.versions.node.split('.').map(Number);
  const difference = found.map((part, i) => part - wanted[i]).find((d) => d !== 0) ?? 0;
  if (difference < 0) {
    throw new BuildError(
      `Node ${process.versions.node} is too old: install Node ${wanted.join('.')} or newer (https://nodejs.org).`,
    );
  }
  return process.versions.node;
}

async function checkCompiler() {
  const { code, output } = await run(compiler, ['--version']);
  if (code !== 0) {
    throw new BuildError(`${compiler} was not found: install a C++ compiler (Debian: apt-get install g++).`);
  }
  if (process.arch === 'x64') {
    const { code } = await run(compiler, ['-mamx-bf16', '-fsyntax-only', '-x', 'c++', '/dev/null']);
    if (code !== 0)
      throw new BuildError(`${compiler} is too old: install g++ 11 or newer, or name another one in CXX.`);
  }
  return output.split('\n', 1)[0];
}

/** npm that started this script, or the one on the PATH. */
function npmCommand() {
  const path = process.env.npm_execpath ?? '';
  return basename(path) === 'npm-cli.js' ? [process.execPath, path] : ['npm'];
}

async function installPackages() {
  const stampFile = join(root, 'node_modules', '.lockstep-setup');
  const stamp = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return 'up to date';

  // No package needs its install script: those with native code ship it built, which the loading below proves.
  const [npm, ...first] = npmCommand();
  const arguments_ = [...first, 'ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
  const { code, output } = await run(npm, arguments_);
  if (code !== 0) {
    say(lastLines(output));
    throw new BuildError(
      code === -1
        ? 'npm was not found: install it (Debian: apt-get install npm).'
        : '`npm ci` failed with the words above: check the connection to the npm registry, then run this again.',
    );
  }
  await loadNativePackages(npm, first);
  writeFileSync(stampFile, stamp);
  return 'installed';
}

async function loadNativePackages(npm, first) {
  for (const name of ['zeromq', 'tokenizers']) {
    const load = () => run(process.execPath, ['--input-type=module', '-e', `await import('${name}')`]);
    if ((await load()).code === 0) continue;
    await run(npm, [...first, 'rebuild', name]);
    const { code, output } = await load();
    if (code === 0) continue;
    say(lastLines(output));
    throw new BuildError(
      `The npm package ${name} does not load on ${process.platform} ${process.arch}: its words are above.`,
    );
  }
}

async function buildAddon() {
  const { built } = await buildNative({ log: say, onProgress: dots() });
  return built ? 'built' : 'up to date';
}

/** Optional: without it workers compute on the processor. */
async function buildCudaDevice() {
  try {
    const result = await buildCuda({ log: say });
    if (result === null) return 'no CUDA toolkit (nvcc), so workers compute on the processor';
    return `${result.built ? 'built' : 'up to date'}, CUDA ${result.version}`;
  } catch (error) {
    if (error instanceof BuildError) return `${error.message} Workers compute on the processor.`;
    throw error;
  }
}

async function buildTypeScript() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const record = join(root, 'dist', '.tsbuildinfo'); // rewritten whenever something was compiled
  // Without its record everything is compiled: dist/ may have been cleared by hand all but for that hidden file.
  if (!existsSync(join(root, 'dist', 'src', 'cli', 'main.js'))) rmSync(record, { force: true });
  const before = statSync(record, { throwIfNoEntry: false })?.mtimeMs;
  const { code, output } = await run(process.execPath, [tsc, '--build']);
  if (code !== 0) {
    say(lastLines(output, 40));
    throw new BuildError('The TypeScript does not compile: correct the errors above, then run this again.');
  }
  return statSync(record).mtimeMs === before ? 'up to date' : 'built';
}

async function main() {
  const startedAt = performance.now();
  await step('node', checkNode);
  mkdirSync(join(root, 'build'), { recursive: true });
  const release = await acquireLock(join(root, 'build', 'setup.lock'), (pid) =>
    say(`waiting for the set-up that process ${pid} is running`),
  );
  process.on('exit', release);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

  await step('compiler', checkCompiler);
  await step('npm packages', installPackages);
  await step('native addon', buildAddon);
  await step('CUDA device', buildCudaDevice);
  await step('TypeScript', buildTypeScript);
  process.stderr.write(`set up in ${secondsSince(startedAt)} s\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error?.message ?? error}\n`);
  process.exitCode = 1;
}
