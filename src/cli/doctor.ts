// `lockstep doctor`: what this machine has, what a run would use of it and why, and what would make it faster.

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Command } from 'commander';
import type { AddonInfo } from '../engine/native/addon.js';
import type { TensorFlowInfo } from '../engine/tensorflow/inspect.js';
import { messageOf } from '../util/errors.js';
import { packageRoot } from '../util/package.js';
import { ExitCode, outputOf } from './output.js';

interface PackageState {
  readonly name: string;
  readonly version: string | null;
  /** Why it does not load; null: it does. */
  readonly fault: string | null;
}

/** `fault`: why the engine cannot be used; null: it can. */
type EngineState =
  | { readonly name: 'native'; readonly info: AddonInfo | null; readonly fault: string | null }
  | { readonly name: 'tensorflow'; readonly info: TensorFlowInfo | null; readonly fault: string | null };

/** What --json prints. */
export interface Diagnosis {
  /** Whether a run can start here. */
  readonly usable: boolean;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** The limit of open files, as each worker takes a few; null: unknown or none. */
  readonly openFiles: number | null;
  readonly engines: readonly EngineState[];
  readonly packages: readonly PackageState[];
  readonly chosen: { readonly engine: string; readonly threads: number; readonly reason: string } | null;
  /** What to do so that it works, or works faster. */
  readonly advice: readonly string[];
}

export function register(program: Command): void {
  program
    .command('doctor')
    .description('say what this machine offers, what a run would use and how to make it faster')
    .action(async (_options: unknown, command: Command) => {
      const diagnosis = await diagnose();
      outputOf(command).result(diagnosis, describe(diagnosis));
      if (!diagnosis.usable) process.exitCode = ExitCode.fault;
    });
}

async function diagnose(): Promise<Diagnosis> {
  const [native, tensorflow] = await Promise.all([nativeEngine(), tensorflowEngine()]);
  const packages = await Promise.all(['zeromq', 'tokenizers'].map(packageState));
  const cores = availableParallelism();
  const openFiles = openFileLimit();
  return {
    usable: native.info !== null && packages.every(({ fault }) => fault === null),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores,
    memoryBytes: totalmem(),
    openFiles,
    engines: [native, tensorflow],
    packages,
    chosen: native.info && {
      engine: 'native',
      threads: cores,
      reason: reasonFor(native.info),
    },
    advice: [
      ...(native.info === null
        ? ['Run `npm run setup` to build the native engine.']
        : adviceFor(native.info)),
      ...packages
        .filter(({ fault }) => fault !== null)
        .map(({ name }) => `Run \`npm rebuild ${name}\`: it does not load.`),
      ...(openFiles !== null && openFiles < 4096
        ? ['Raise the limit of open files for more than a few hundred workers: `ulimit -n 65536`.']
        : []),
    ],
  };
}

async function nativeEngine(): Promise<EngineState & { readonly name: 'native' }> {
  try {
    const { loadAddon } = await import('../engine/native/load.js');
    return { name: 'native', info: loadAddon().info(), fault: null };
  } catch (error) {
    return { name: 'native', info: null, fault: messageOf(error) };
  }
}

async function tensorflowEngine(): Promise<EngineState> {
  const { inspectTensorFlow } = await import('../engine/tensorflow/inspect.js');
  return { name: 'tensorflow', ...(await inspectTensorFlow()) };
}

async function packageState(name: string): Promise<PackageState> {
  let version: string | null = null;
  try {
    const file = `${packageRoot}node_modules/${name}/package.json`;
    ({ version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string });
  } catch {
    // Installed elsewhere, or not at all: loading it tells.
  }
  try {
    await import(name);
    return { name, version, fault: null };
  } catch (error) {
    return { name, version, fault: messageOf(error) };
  }
}

/** The soft limit, from Linux's /proc. */
function openFileLimit(): number | null {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line === null ? null : Number(line[1]);
  } catch {
    return null;
  }
}

function reasonFor(info: AddonInfo): string {
  const product =
    info.matmul === 'onednn'
      ? 'oneDNN was there when it was built'
      : 'oneDNN was not there when it was built';
  return `it is the engine for CPUs; ${product}; ${info.isa} is the best instruction set that it and this processor share`;
}

function adviceFor(info: AddonInfo): string[] {
  if (info.matmul === 'onednn') return [];
  return [
    'Install oneDNN, several times as fast as the portable matrix product: `apt-get install libdnnl-dev` as root, then `npm run setup`.',
  ];
}

function describe(diagnosis: Diagnosis): string {
  const { chosen, advice } = diagnosis;
  const gigabytes = (diagnosis.memoryBytes / 2 ** 30).toFixed(1);
  const rows: [string, string][] = [
    ['Node', diagnosis.node],
    ['machine', `${diagnosis.platform}, ${diagnosis.processor}, ${diagnosis.cores} cores, ${gigabytes} GiB`],
    ['open files', diagnosis.openFiles === null ? 'unlimited or unknown' : `at most ${diagnosis.openFiles}`],
    ...diagnosis.engines.map((engine): [string, string] => [`engine ${engine.name}`, engineInWords(engine)]),
    ...diagnosis.packages.map(({ name, version, fault }): [string, string] => [
      name,
      fault === null ? (version ?? 'loads') : `does not load: ${fault}`,
    ]),
    [
      'chosen',
      chosen === null
        ? 'nothing: no run can start here'
        : `${chosen.engine}, ${chosen.threads} threads: ${chosen.reason}`,
    ],
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  const table = rows.map(([title, value]) => `${title.padEnd(width)}  ${value}`);
  const closing = advice.length === 0 ? ['Nothing to improve.'] : advice.map((line) => `- ${line}`);
  return [...table, '', ...closing].join('\n');
}

function engineInWords({ name, info, fault }: EngineState): string {
  if (info === null) return `not usable: ${fault}`;
  if (name === 'native') return `usable: ${nativeInWords(info)}`;
  return `usable: ${info.version} on this machine's ${info.device}, ${info.package}`;
}

function nativeInWords(info: AddonInfo): string {
  const product = info.matmul === 'onednn' ? `oneDNN ${info.oneDnnVersion}` : 'the portable matrix product';
  return `${product}, ${info.isa}, built by ${info.compiler}`;
}
