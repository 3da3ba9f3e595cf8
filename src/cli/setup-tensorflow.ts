// How the tensorflow engine is built: tfjs-node from npm, TensorFlow's C library from PyPI's wheel, and tfjs-node's
// addon compiled against it. A binary of tfjs-node's own that loads is left as it is.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { inspectTensorFlow, type TensorFlowInfo } from '../engine/tensorflow/inspect.js';
import { packageFolder, type TensorFlowPackage } from '../engine/tensorflow/package.js';
import { UserError } from '../util/errors.js';
import { packageRoot } from '../util/package.js';

interface SetupOptions {
  readonly gpu: boolean;
  readonly python: string;
}

type Say = (line: string) => void;

const VERSION = '^4.22.0'; // of tfjs-node, as package.json has it
const FOLDER = path.join(packageRoot, 'build', 'tensorflow');
const require = createRequire(import.meta.url);

/**
 * Does only what is missing; `say` hears one line a step.
 * Throws UserError SETUP_FAILED, which says in one sentence what to do.
 */
export async function setUpTensorFlow({ gpu, python }: SetupOptions, say: Say): Promise<TensorFlowInfo> {
  const name: TensorFlowPackage = gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node';
  const found = packageFolder(name) === null ? null : (await inspectTensorFlow()).info;
  if (found?.package === name) {
    say(`${name} is there and loads: nothing to build.`);
    return found;
  }
  const pythonVersion = await checkTools(python);
  say(`npm package   ${name}`);
  const folder = packageFolder(name) ?? (await installPackage(name));
  say(`C library     TensorFlow's wheel, by the pip of ${pythonVersion} (takes minutes)`);
  const library = await installLibrary(gpu, python);
  say(`addon         compiled against ${path.relative(process.cwd(), library)}`);
  await compileAddon(folder, library);
  const { info, fault } = await inspectTensorFlow();
  if (info === null)
    throw failed(`What was built does not work (${fault}): report this with \`npx lockstep doctor\`'s words`);
  return info;
}

function failed(sentence: string, output = ''): UserError {
  const words = output.trimEnd().split('\n').slice(-12).join('\n');
  return new UserError('SETUP_FAILED', `${words === '' ? '' : `${words}\n`}${sentence}.`);
}

/** What must be there before anything is downloaded; returns Python's version. */
async function checkTools(python: string): Promise<string> {
  if (process.platform !== 'linux') {
    throw failed(
      'The wheel is used on Linux only: elsewhere install tfjs-node with its own binary, `npm install --no-save @tensorflow/tfjs-node`',
    );
  }
  if ((await run(compiler(), ['--version'])).code !== 0) {
    throw failed(`${compiler()} was not found: install a C++ compiler (Debian: apt-get install g++)`);
  }
  const { code, output } = await run(python, ['--version']);
  if (code !== 0) {
    throw failed(
      `${python} was not found: install Python 3 (Debian: apt-get install python3-venv) or name one by --python`,
    );
  }
  return output.trim();
}

/** tfjs-node without its install script, which would download a library from outside the registries. */
async function installPackage(name: TensorFlowPackage): Promise<string> {
  const wanted = `${name}@${VERSION}`;
  if (packageRoot.includes(`${path.sep}node_modules${path.sep}`)) {
    throw failed(
      `Lockstep is itself a dependency here: run \`npm install --ignore-scripts ${wanted}\` in the project, then this again`,
    );
  }
  // Of no kind but optional would npm install what package.json lists as an optional peer; nothing is saved.
  const options = ['--no-save', '--save-optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { code, output } = await run('npm', ['install', ...options, wanted]);
  if (code !== 0) {
    throw failed(
      `npm could not install ${name}: check the connection to its registry, then run this again`,
      output,
    );
  }
  const folder = packageFolder(name);
  if (folder === null)
    throw failed(`npm installed ${name}, but Node does not find it: run \`npm ci\`, then this again`, output);
  return folder;
}

/** The wheel's folder `tensorflow`, in a virtual environment of its own. */
async function installLibrary(gpu: boolean, python: string): Promise<string> {
  const venv = path.join(FOLDER, gpu ? 'gpu' : 'cpu');
  const own = path.join(venv, 'bin', 'python');
  mkdirSync(FOLDER, { recursive: true });
  const made = await run(python, ['-m', 'venv', venv]);
  if (made.code !== 0) {
    throw failed(
      `${python} cannot make a virtual environment: install its venv (Debian: apt-get install python3-venv)`,
      made.output,
    );
  }
  // Nothing of Python is run: the libraries are all that is wanted.
  const install = async (wheels: string[]): Promise<void> => {
    const pip = ['-m', 'pip', 'install', '--no-input', '--no-deps', '--disable-pip-version-check'];
    const { code, output } = await run(own, [...pip, ...wheels]);
    if (code !== 0) {
      throw failed(
        `pip could not install ${wheels[0]}: check the connection to its index, and that ${python} is one that TensorFlow supports`,
        output,
      );
    }
  };
  const wheel = gpu ? 'tensorflow' : 'tensorflow-cpu';
  await install([wheel]);
  if (gpu) await install(await linesOf(own, CUDA_WHEELS));
  const [packages] = await linesOf(own, "import sysconfig; print(sysconfig.get_paths()['purelib'])");
  return path.join(packages!, 'tensorflow');
}

/** The wheels of CUDA that the installed TensorFlow names in its extra `and-cuda`. */
const CUDA_WHEELS = `
import importlib.metadata
for line in importlib.metadata.requires('tensorflow'):
    if 'and-cuda' in line: print(line.split(';')[0].strip())
`;

async function linesOf(python: string, program: string): Promise<string[]> {
  const { output } = await run(python, ['-c', program]);
  return output.split('\n').filter((line) => line !== '');
}

/**
 * With g++ and Node's headers from npm, as Lockstep's own addon: tfjs-node's build wants headers from outside the
 * registries. The library is linked by its folder, so that what lies beside it (CUDA's) is found as the wheel intends.
 */
async function compileAddon(folder: string, library: string): Promise<void> {
  const deps = path.join(folder, 'deps');
  rmSync(deps, { recursive: true, force: true });
  mkdirSync(deps);
  symlinkSync(path.join(library, 'include'), path.join(deps, 'include'));
  symlinkSync(library, path.join(deps, 'lib'));
  const file = addonFile(folder);
  mkdirSync(path.dirname(file), { recursive: true });
  const headers = path.join(path.dirname(require.resolve('node-api-headers/package.json')), 'include');
  const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
  const missing = libraries.find((name) => !existsSync(path.join(library, name)));
  if (missing !== undefined)
    throw failed(`The wheel has no ${missing}: this version of TensorFlow is not supported, report it`);
  const { code, output } = await run(compiler(), [
    ...['-std=c++17', '-O2', '-fPIC', '-shared', '-w', '-DNAPI_VERSION=8'],
    ...['-I', headers, '-I', path.join(deps, 'include'), '-I', path.dirname(folder)],
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((source) => path.join(folder, 'binding', source)),
    ...['-o', file, '-L', path.join(deps, 'lib'), ...libraries.map((name) => `-l:${name}`)],
    '-Wl,-rpath,$ORIGIN/../../deps/lib',
  ]);
  if (code !== 0) {
    throw failed(
      'The addon of tfjs-node does not compile against this TensorFlow: report it with the words above',
      output,
    );
  }
}

/** Where tfjs-node looks for its addon. */
function addonFile(folder: string): string {
  const manifest = path.join(folder, 'package.json');
  const finder = createRequire(manifest)('@mapbox/node-pre-gyp') as { find(manifest: string): string };
  return finder.find(manifest);
}

function compiler(): string {
  return process.env['CXX'] ?? 'g++';
}

/** Runs a program in Lockstep's folder; its exit code (-1: it could not be started) and its whole output. */
function run(command: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: packageRoot, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (data: Buffer): void => void (output += data.toString());
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ code: -1, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}
