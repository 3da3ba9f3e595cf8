// Every page is held against the program: the commands that it shows are accepted by the command line's own parser,
// and the files, scripts and anchors that it names exist.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { packageRoot } from '../../src/util/package.js';
import { commandLine, faultOfCall } from './command-line.js';
import { anchorsOf, commandsOf, inlineCode, localLinks, splitShell } from './markdown.js';

/** Programs that a page may tell a reader to call. */
const TOOLS = [
  'npm',
  'npx',
  'lockstep',
  'node',
  'apt-get',
  'cat',
  'cd',
  'cp',
  'curl',
  'docker',
  'echo',
  'export',
  'git',
  'helm',
  'kill',
  'kubectl',
  'ls',
  'mkdir',
  'prometheus',
  'sbatch',
  'scancel',
  'scontrol',
  'sinfo',
  'squeue',
  'srun',
  'tail',
  'tensorboard',
];

/** A word that begins so is a file of the project. */
const OWN_FILE = /^(?:\.\/)?((?:\.ci|bench|deploy|docs|examples|native|scripts|src|test)\/[\w./-]+)/;

interface Page {
  readonly name: string; // from the root, such as docs/slurm.md
  readonly text: string;
}

const pages: Page[] = [
  ...readdirSync(packageRoot).filter((name) => name.endsWith('.md')),
  ...['docs', 'deploy', 'examples'].flatMap((folder) =>
    existsSync(packageRoot + folder)
      ? readdirSync(packageRoot + folder, { recursive: true, encoding: 'utf8' })
          .filter((name) => name.endsWith('.md'))
          .map((name) => path.join(folder, name))
      : [],
  ),
].map((name) => ({ name, text: readFileSync(packageRoot + name, 'utf8') }));

const { scripts } = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as {
  scripts: Record<string, string>;
};

/** What is wrong with a command of a page; null when nothing is. */
async function faultOf(words: readonly string[]): Promise<string | null> {
  const [tool = '', ...args] = words;
  if (!TOOLS.includes(tool) && !OWN_FILE.test(tool)) return `unknown program ${tool}`;
  const missing = words.map((word) => OWN_FILE.exec(word)?.[1]).find((file) => file && !isThere(file));
  if (missing !== undefined) return `there is no ${missing}`;
  if (tool === 'lockstep') return faultOfCall(args);
  if (tool === 'npx') return args[0] === 'lockstep' ? faultOfCall(args.slice(1)) : null;
  if (tool === 'npm' && args[0] === 'run') return args[1]! in scripts ? null : `no script ${args[1]}`;
  return null;
}

function isThere(file: string): boolean {
  return existsSync(packageRoot + file);
}

async function faultsOf(
  page: Page,
  found: readonly { where: string; words: readonly string[] }[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const { where, words } of found) {
    const fault = await faultOf(words);
    if (fault !== null) faults.push(`${page.name}${where}: ${words.join(' ')}: ${fault}`);
  }
  return faults;
}

/** Of each command, in one line for each option. */
function allHelps(command: Command): { readonly name: string; readonly help: string }[] {
  command.configureHelp({ helpWidth: 1000 });
  const own = { name: command.name(), help: command.helpInformation() };
  return [own, ...command.commands.flatMap(allHelps)];
}

test('every command that a page shows is one the program takes', async () => {
  const faults: string[] = [];
  let count = 0;
  for (const page of pages) {
    const commands = commandsOf(page.text, TOOLS).map(({ words, line }) => ({ where: `:${line}`, words }));
    count += commands.length;
    faults.push(...(await faultsOf(page, commands)));
  }
  assert.deepEqual(faults, []);
  assert.ok(count > 10, `${count} commands were found: the pages are not read`);
});

test('the commands in the comments of examples are ones the program takes', async () => {
  const faults: string[] = [];
  for (const name of readdirSync(`${packageRoot}examples`)) {
    const text = readFileSync(path.join(packageRoot, 'examples', name), 'utf8');
    const calls = [...text.matchAll(/^#.*?\bnpx (lockstep .*)$/gm)].map((match) => match[1]!);
    const commands = calls.flatMap(splitShell).map((words) => ({ where: '', words }));
    faults.push(...(await faultsOf({ name: `examples/${name}`, text }, commands)));
  }
  assert.deepEqual(faults, []);
});

test('commands and options named in running text exist', async () => {
  const program = await commandLine();
  const faults = pages.flatMap(({ name, text }) =>
    inlineCode(text)
      .map((code) => splitShell(code.replace(/^npx /, ''))[0] ?? [])
      .filter((words) => words[0] === 'lockstep' && words.length > 1)
      .filter((words) => !isNamed(program, words.slice(1)))
      .map((words) => `${name}: ${words.join(' ')}`),
  );
  assert.deepEqual(faults, []);
});

/** Whether the command and every option that the words name exist; values and arguments may be left out. */
function isNamed(program: Command, words: readonly string[]): boolean {
  const command = program.commands.find((known) => known.name() === words[0]);
  if (!command) return words[0]!.startsWith('-') || words[0] === 'help';
  const known = [command, program].flatMap(({ options }) => options.map(({ long }) => long));
  return words.filter((word) => word.startsWith('--') && word !== '--').every((word) => known.includes(word));
}

test('the help shows no default that is an empty list, false, or a number without the unit it is given in', async () => {
  const helps = allHelps(await commandLine());
  const wrong = helps.flatMap(({ name, help }) =>
    [...help.matchAll(/--([\w-]+)(?: <(\w+)>)?.*?\(.*?default: ([^)]*)\)/g)]
      .filter(([, , value, usual]) =>
        ['rate', 'time'].includes(value ?? '') ? /^[\d.]+$/.test(usual!) : /^(\[.*\]|false)$/.test(usual!),
      )
      .map(([, option, , usual]) => `${name} --${option}: ${usual}`),
  );
  assert.ok(helps.length > 10, `${helps.length} commands were found`);
  assert.deepEqual(wrong, []);
});

test('scripts and files named in running text exist', () => {
  const faults = pages.flatMap(({ name, text }) =>
    inlineCode(text).flatMap((code) => {
      const script = /^npm run ([\w:-]+)/.exec(code)?.[1];
      if (script !== undefined && !(script in scripts)) return [`${name}: ${code}`];
      // What stands for a name is for people.
      const file = /[{*…]|\bNAME\b/.test(code) ? undefined : OWN_FILE.exec(code)?.[1];
      return file !== undefined && !isThere(file) ? [`${name}: ${code}`] : [];
    }),
  );
  assert.deepEqual(faults, []);
});

test('links between pages lead to files and headings that exist', () => {
  const faults = pages.flatMap(({ name, text }) =>
    localLinks(text).flatMap((link) => {
      const [target = '', anchor] = link.split('#');
      const file = path.join(path.dirname(name), target);
      if (!isThere(file)) return [`${name}: ${link}`];
      if (anchor === undefined) return [];
      return anchorsOf(readFileSync(packageRoot + file, 'utf8')).includes(anchor) ? [] : [`${name}: ${link}`];
    }),
  );
  assert.deepEqual(faults, []);
});

test('a page with a wrong option, value, file or script would be found', async () => {
  for (const wrong of [
    'npx lockstep train examples/masked.yaml --worker 2',
    'npx lockstep train examples/masked.yaml --workers two',
    'npx lockstep train examples/maskt.yaml',
    'npx lockstep trian examples/masked.yaml',
    'npm run quickstrat',
    'slrun lockstep',
  ]) {
    const [words = []] = splitShell(wrong);
    assert.notEqual(await faultOf(words), null, wrong);
  }
  assert.equal(await faultOf(splitShell('npx lockstep train examples/masked.yaml --workers 2')[0]!), null);
});
