// Reads the tree and holds it to the rules that keep it easy to find one's way in: which way imports point,
// no cycles, no dead files, small files that say what they are.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../src/util/package.js';

/** A folder of src/ may import those of lower rank and of its own; coordinator and worker share none. */
const RANKS: Readonly<Record<string, number>> = {
  util: 0,
  engine: 1,
  protocol: 1,
  transport: 2,
  checkpoint: 2,
  data: 2,
  model: 2,
  optim: 2,
  metrics: 2,
  live: 2,
  config: 3,
  coordinator: 4,
  worker: 4,
  simulation: 5,
  cli: 6,
};

/** Types that every layer speaks of. They import nothing, and lower layers import them as types only. */
const VOCABULARY = ['src/model/config.ts', 'src/model/batch.ts'];

/** Where a process begins. Entry files of threads are found by their `new URL('./….js', import.meta.url)`. */
const ENTRY_POINTS = ['src/cli/main.ts', 'bench/main.ts', 'deploy/grafana/source/generate.ts'];

/** What only tests use: the plain definitions that fused kernels are held against. */
const TEST_REFERENCES = [/^src\/engine\/references/, /[/-]reference\.ts$/];

/** Packages that `lockstep --help` may load; all else is imported where it is used. */
const LIGHT_PACKAGES = ['string-width', 'commander'];

const MOST_LINES = 450;

interface Import {
  readonly kind: 'value' | 'type' | 'dynamic' | 'thread';
  /** A path from the root, or the name of a package. */
  readonly target: string;
}

interface Source {
  readonly path: string; // from the root, such as src/util/errors.ts
  readonly text: string;
  readonly imports: readonly Import[];
}

function filesBelow(folder: string, endings: readonly string[]): string[] {
  if (!existsSync(packageRoot + folder)) return [];
  return readdirSync(packageRoot + folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => join(folder, name))
    .sort();
}

function readSource(path: string): Source {
  const text = readFileSync(packageRoot + path, 'utf8');
  const resolve = (specifier: string): string =>
    specifier.startsWith('.') ? normalize(join(dirname(path), specifier)).replace(/\.js$/, '.ts') : specifier;
  const find = (pattern: RegExp, kind: Import['kind']): Import[] =>
    [...text.matchAll(pattern)].map((match) => ({ kind, target: resolve(match[1]!) }));
  return {
    path,
    text,
    imports: [
      ...find(/^(?:import|export) type\b[^;]*?from '([^']+)'/gm, 'type'),
      ...find(/^(?:import|export)(?! type\b)\b[^;']*?from '([^']+)'/gm, 'value'),
      ...find(/^import '([^']+)'/gm, 'value'),
      ...find(/\bimport\('([^']+)'\)/g, 'dynamic'),
      ...find(/new URL\(\s*'(\.[^']+\.js)',\s*import\.meta\.url/g, 'thread'),
    ],
  };
}

const sources = ['src', 'bench', 'deploy'].flatMap((folder) => filesBelow(folder, ['.ts'])).map(readSource);
const byPath = new Map(sources.map((source) => [source.path, source]));

function folderOf(path: string): string {
  return path.startsWith('src/') ? path.split('/')[1]! : path.split('/')[0]!;
}

/** All files that can be reached from `from` by imports of these kinds, `from` included. */
function reachable(from: readonly string[], kinds: readonly Import['kind'][]): Set<string> {
  const found = new Set<string>();
  const waiting = [...from];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    for (const { kind, target } of byPath.get(path)?.imports ?? [])
      if (kinds.includes(kind)) waiting.push(target);
  }
  return found;
}

test('every folder of src/ has a rank', () => {
  const folders = new Set(
    sources.filter(({ path }) => path.startsWith('src/')).map(({ path }) => folderOf(path)),
  );
  assert.deepEqual(
    [...folders].filter((folder) => !(folder in RANKS)),
    [],
  );
});

test('imports point down', () => {
  const wrong = sources
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, imports }) => {
      const own = folderOf(path);
      return imports
        .filter(({ target }) => target.startsWith('src/') && folderOf(target) !== own)
        .filter(({ kind, target }) => !(kind === 'type' && VOCABULARY.includes(target)))
        .filter(({ target }) => RANKS[folderOf(target)]! > RANKS[own]! || RANKS[own] === 0)
        .map(({ target }) => `${path} imports ${target}`);
    });
  assert.deepEqual(wrong, []);
});

test('coordinator and worker do not import each other', () => {
  for (const [one, other] of [
    ['coordinator', 'worker'],
    ['worker', 'coordinator'],
  ] as const) {
    const files = [...byPath.keys()].filter((path) => folderOf(path) === one);
    const reached = reachable(files, ['value', 'type', 'dynamic', 'thread']);
    assert.deepEqual(
      [...reached].filter((path) => folderOf(path) === other),
      [],
    );
  }
});

test('the shared types import nothing of ours', () => {
  for (const path of VOCABULARY) assert.deepEqual(byPath.get(path)?.imports, []);
});

test('src/ imports nothing from bench/, deploy/, test/ or scripts/', () => {
  const wrong = sources
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, imports }) => imports.map(({ target }) => `${path} imports ${target}`))
    .filter((line) => / imports (bench|deploy|test|scripts)\//.test(line));
  assert.deepEqual(wrong, []);
});

test('there are no import cycles', () => {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) assert.fail(`cycle: ${[...path.slice(at), file].join(' -> ')}`);
    if (done.has(file)) return;
    path.push(file);
    for (const { kind, target } of byPath.get(file)?.imports ?? []) if (kind !== 'thread') visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of byPath.keys()) visit(file);
});

test('imports name files that exist', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => /^(src|bench|deploy)\//.test(target) && !byPath.has(target))
      .map(({ target }) => `${path} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('every file is reached from an entry point', () => {
  const reached = reachable(ENTRY_POINTS, ['value', 'type', 'dynamic', 'thread']);
  const dead = [...byPath.keys()].filter(
    (path) => !reached.has(path) && !TEST_REFERENCES.some((pattern) => pattern.test(path)),
  );
  assert.deepEqual(dead, []);
});

/** A type that only its own file names may still describe what others pass or get. */
test('what src/ exports is used: a value by a file that imports it, a type anywhere', () => {
  const readers = [...sources, ...filesBelow('test', ['.ts']).map(readSource)].map(
    ({ path, text, imports }) => ({
      path,
      words: new Set(withoutComments(text).match(/\w+/g)),
      targets: new Set(imports.map(({ target }) => target)),
    }),
  );
  const declaration =
    /^export (?:abstract |async )?(function\*?|class|const|let|enum|interface|type) (\w+)/gm;
  const unused = sources
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap(({ path, text }) => {
      const code = withoutComments(text);
      const importers = readers.filter(({ targets }) => targets.has(path));
      return [...code.matchAll(declaration)]
        .filter(([, kind, name]) => {
          const isDescribed = kind === 'interface' || kind === 'type';
          const usesHere = code.match(new RegExp(`\\b${name}\\b`, 'g'))!.length - 1;
          return !importers.some(({ words }) => words.has(name!)) && !(isDescribed && usesHere > 0);
        })
        .map(([, , name]) => `${path} exports ${name}`);
    });
  assert.deepEqual(unused, []);
});

test('there are no barrels', () => {
  const barrels = sources.filter(({ path, text }) => {
    const passesOn = /^export (\*|(type )?\{[^}]*\}) from /m.test(text);
    const declares = /^export (default|async|abstract|declare|const|function|class|interface|type \w)/m.test(
      text,
    );
    return path.endsWith('/index.ts') || /^export \* from /m.test(text) || (passesOn && !declares);
  });
  assert.deepEqual(
    barrels.map(({ path }) => path),
    [],
  );
});

/** What network file systems and object stores lack, or each do in their own way. */
const UNSHARED =
  /\b(\w*[rR]ename\w*|\w*flock\w*|lockf|fcntl|[mac]time(Ms)?|birthtime(Ms)?|\w*utimes|LastModified|Copy\w*Command)\b/;

test('checkpoints rely on no rename, lock or time of a file', () => {
  const users = sources
    .filter(({ path }) => folderOf(path) === 'checkpoint')
    .filter(({ text }) => UNSHARED.test(withoutComments(text)));
  assert.deepEqual(
    users.map(({ path }) => path),
    [],
  );
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');
}

test('only the command line reads arguments and ends the process', () => {
  const users = sources.filter(
    ({ path, text }) => path.startsWith('src/') && /\bprocess\.(exit|exitCode|argv)\b/.test(text),
  );
  assert.deepEqual(
    users.map(({ path }) => path).filter((path) => folderOf(path) !== 'cli'),
    [],
  );
});

test('`lockstep --help` loads no heavy package', () => {
  const loaded = [...reachable(['src/cli/main.ts'], ['value'])].filter(
    (target) => !byPath.has(target) && !target.startsWith('node:'),
  );
  assert.deepEqual(
    loaded.filter((name) => !LIGHT_PACKAGES.includes(name)),
    [],
  );
});

const written = [
  ...sources.map(({ path }) => path),
  ...filesBelow('scripts', ['.mjs']),
  ...filesBelow('native', ['.cc', '.h', '.cu']),
  ...filesBelow('bench/peers', ['.cc', '.py']),
];

test('every file begins by saying what it is', () => {
  const silent = written.filter((path) => {
    const text = readFileSync(packageRoot + path, 'utf8').replace(/^#!.*\n/, '');
    return !/^(\/\/ |\/\*|""")/.test(text);
  });
  assert.deepEqual(silent, []);
});

test(`no file has more than ${MOST_LINES} lines`, () => {
  const long = [...written, ...filesBelow('test', ['.ts'])].filter(
    (path) => readFileSync(packageRoot + path, 'utf8').split('\n').length - 1 > MOST_LINES,
  );
  assert.deepEqual(long, []);
});

test('nothing is left to be done later in a comment', () => {
  const open = written.filter((path) =>
    /\b(TODO|FIXME|XXX)\b/.test(readFileSync(packageRoot + path, 'utf8')),
  );
  assert.deepEqual(open, []);
});

test('the folders of test/ mirror those of src/', () => {
  const others = ['golden', 'chaos', 'fuzz', 'simulation', 'scripts', 'bench', 'docs', 'deploy'];
  const strange = filesBelow('test', ['.test.ts'])
    .map((path) => path.split('/').slice(1, -1).join('/'))
    .filter((folder) => folder !== '' && !others.includes(folder.split('/')[0]!))
    .filter(
      (folder) => !existsSync(`${packageRoot}src/${folder}`) && !existsSync(`${packageRoot}src/${folder}.ts`),
    );
  assert.deepEqual([...new Set(strange)], []);
});
