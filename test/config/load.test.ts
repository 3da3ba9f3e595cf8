import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig, parseRunConfig } from '../../src/config/load.js';
import type { ObjectiveConfig } from '../../src/model/objectives.js';
import type { OptimizerConfig } from '../../src/optim/config.js';
import { UserError } from '../../src/util/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-config-'));
after(() => rmSync(folder, { recursive: true }));

function write(text: string | Buffer, name = 'run.yaml'): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** The message of the fault in a config, without the folder. */
function faultOf(text: string | Buffer, overrides: readonly string[] = [], name?: string): string {
  const file = write(text, name);
  try {
    loadConfig(file, overrides);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    return error.message.replaceAll(`${folder}/`, '');
  }
  return assert.fail('the config was accepted');
}

test('only the data has to be given, and the name is that of the file', () => {
  const config = loadConfig(write('data: ./prepared', 'my run.yaml'));
  assert.equal(config.name, 'my-run');
  const names = ['größe.yaml', 'grüße.yaml'].map((file) => loadConfig(write('data: x', file)).name);
  assert.deepEqual(names, ['grosse', 'grusse']);
  assert.equal(config.data, join(folder, 'prepared'));
  assert.equal(config.model.width, 256);
  assert.deepEqual(config.objective, {
    kind: 'masked',
    rate: 0.15,
    corruption: 'token',
    meanSpan: 3,
    loss: 'hidden',
  });
  assert.deepEqual(config.optimizer.schedule, { kind: 'inverse-square-root', warmupSteps: 100 });
});

test('the parts of a config are what the objective and the optimiser take', () => {
  const config = loadConfig(write('data: x'));
  const objective: ObjectiveConfig = config.objective;
  const optimizer: OptimizerConfig = config.optimizer;
  assert.ok(objective.kind === 'masked' && optimizer.clipNorm === 1);
});

test('a fault names file, line, key, what was expected and what was found', () => {
  assert.equal(
    faultOf('data: x\nmodel:\n  width: 256\n  heads: 3\n'),
    'run.yaml:4: model.heads: expected a divisor of model.width (256), got 3',
  );
  assert.equal(
    faultOf('data: x\nlabelSmoothing: "0.1"\n'),
    'run.yaml:2: labelSmoothing: expected a number at least 0 and below 1, got "0.1"',
  );
  assert.equal(
    faultOf('seed: 1\n'),
    'run.yaml: data: expected a folder made by `lockstep prepare`, got nothing',
  );
});

test('all faults are listed, in the order of the file', () => {
  const text =
    'data: x\nwire: float16\nmodel:\n  dropout: 1\n  hedas: 2\n\n\n\n\nsteps: 1.5\nworker: { threads: 0 }\n';
  assert.deepEqual(faultOf(text).split('\n'), [
    '5 faults in the config',
    '  run.yaml:2: wire: expected one of float32, bfloat16, got "float16"',
    '  run.yaml:4: model.dropout: expected a number at least 0 and below 1, got 1',
    '  run.yaml:5: model.hedas: unknown key, did you mean model.heads?',
    '  run.yaml:10: steps: expected a whole number from 1 to 4294967295, got 1.5',
    '  run.yaml:11: worker.threads: expected a whole number from 1 to 1024, or auto, got 0',
  ]);
});

test('a value that may be null is refused with that said', () => {
  assert.match(faultOf('data: x', ['optimizer.clipNorm=0']), /expected a number above 0, or null, got 0$/);
  assert.match(
    faultOf('data: x', ['checkpoint.keepEvery=0']),
    /expected a whole number from 1 to \d+, or null, got 0$/,
  );
});

test('a misspelt key is answered with the nearest one, a misplaced one with its place', () => {
  assert.match(faultOf('data: x\nwier: float32\n'), /did you mean wire\?$/);
  assert.match(
    faultOf('data: x\nheads: 4\n'),
    /run.yaml:2: heads: unknown key here, did you mean model.heads\?$/,
  );
  assert.match(
    faultOf('data: x\noptimizer: { schedule: { warmup: 4 } }\n'),
    /did you mean optimizer.schedule.warmupSteps\?$/,
  );
  assert.match(
    faultOf('data: x\nobjective: { kind: causal, rate: 0.1 }\n'),
    /not a key of this kind, expected one of kind$/,
  );
  assert.match(faultOf('data: x\nzzzzzzzz: 4\n'), /unknown key, expected one of name, seed, data, /);
});

test('a micro-batch that no machine could hold is refused, and how many samples fit is said', () => {
  const text = 'data: d\nmodel: { maxLength: 65536 }\nwindow: 65535\nbatch: { samples: 16384 }\n';
  assert.match(faultOf(text), /run.yaml:4: batch.samples: expected at most 16: a micro-batch holds at most/);
  loadConfig(write(text.replace('16384', '16')));
  const pairs = 'data: d\nobjective: { kind: seq2seq }\nmodel: { maxLength: 1024 }\nbatch: { samples: 513 }';
  assert.match(faultOf(pairs), /batch.samples: expected at most 512/);
  assert.match(faultOf('data: d\nbatch: { samples: 65536 }'), /1 to 16,?384/);
});

test('of very many faults the first are listed, and a file that is no text is said to be none', () => {
  const keys = Array.from({ length: 50 }, (_, i) => `zzzzzzzz${i + 10}: 1`);
  const lines = faultOf(`data: x\n${keys.join('\n')}\n`).split('\n');
  assert.deepEqual([lines[0], lines.length, lines.at(-1)], ['50 faults in the config', 42, '  and 10 more']);
  const expected = 'run.yaml: expected YAML, got a file that is not text in UTF-8';
  assert.equal(faultOf(Buffer.from([0x64, 0x3a, 0x20, 0xff, 0xfe])), expected);
  assert.equal(faultOf('data: x\0'), expected);
  loadConfig(write('data: x # \ufffd is a character like others\n'));
});

test('a word in the place of a mapping is answered with a key of the mapping', () => {
  assert.match(
    faultOf('data: x\n', ['objective=causal']),
    /objective: expected a mapping of keys to values, such as \{ kind: … \}, got "causal"$/,
  );
});

test('a YAML fault names its line', () => {
  assert.match(
    faultOf('data: x\nmodel: {heads: 1, heads: 2}\n'),
    /^run.yaml:2: heads: the key is given twice$/,
  );
  assert.match(faultOf('data: x\nsteps: [1\n'), /^run.yaml:\d: /);
  assert.match(faultOf('data: *x\n'), /^run.yaml: .*alias/);
  assert.equal(faultOf(''), 'run.yaml: expected a mapping of keys to values, got null');
  assert.equal(faultOf('- 1'), 'run.yaml: expected a mapping of keys to values, got a list');
});

test('an override wins over the file, and its faults name it', () => {
  const file = write('data: x\nmodel: { heads: 8 }\noptimizer: { clipNorm: 2 }\n');
  const config = loadConfig(file, [
    'model.heads=2',
    'optimizer.clipNorm=null',
    'wire=bfloat16',
    'seed=3',
    'seed=4',
  ]);
  assert.equal(config.model.heads, 2);
  assert.equal(config.optimizer.clipNorm, null);
  assert.equal(config.wire, 'bfloat16');
  assert.equal(config.seed, 4);
  assert.match(
    faultOf('data: x', ['model.heads=3']),
    /^--set model.heads=3: model.heads: expected a divisor/,
  );
  assert.match(
    faultOf('data: x', ['model.head=3']),
    /^--set model.head=3: model.head: unknown key, did you mean/,
  );
  assert.match(faultOf('data: x', ['foo']), /^--set foo: expected key=value/);
  assert.match(faultOf('data: x', ['__proto__.x=1']), /^--set __proto__.x=1: expected key=value/);
  assert.match(faultOf('data: x', ['seed=[1']), /^--set seed=\[1: expected a YAML value/);
});

test('a key of the default kind can be given without the kind', () => {
  const config = loadConfig(write('data: x\nobjective: { rate: 0.3 }\n'), [
    'optimizer.schedule.warmupSteps=0',
  ]);
  assert.ok(config.objective.kind === 'masked' && config.objective.rate === 0.3);
  assert.deepEqual(config.optimizer.schedule, { kind: 'inverse-square-root', warmupSteps: 0 });
});

test('keys that contradict each other are refused, and a default is called one', () => {
  assert.match(
    faultOf('data: x\nmodel: { maxLength: 64 }\n'),
    /window: expected at most 63.* got 128, the default$/,
  );
  assert.match(faultOf('data: x\nmodel: { maxLength: 128 }\nwindow: 128\n'), /window: expected at most 127/);
  assert.match(faultOf('data: x\nmodel: { width: 9, heads: 3 }\n'), /model.width: expected an even number/);
  assert.match(
    faultOf('data: x\nheartbeat: { intervalMs: 1000, timeoutMs: 1500 }\n'),
    /heartbeat.timeoutMs: expected at least twice heartbeat.intervalMs \(1000\), got 1500$/,
  );
  assert.match(
    faultOf('data: x\nwindow: 8\nobjective: { corruption: span, meanSpan: 9 }\n'),
    /objective.meanSpan: expected at most window \(8\), got 9$/,
  );
});

test('a run may be shorter than its warm-up', () => {
  assert.equal(loadConfig(write('data: x\nsteps: 4\n')).optimizer.schedule.warmupSteps, 100);
});

test('window is not held against the longest sequence where samples are pairs', () => {
  const text = 'data: x\nwindow: 128\nmodel: { maxLength: 64 }\nobjective: { kind: seq2seq }\n';
  assert.equal(loadConfig(write(text)).model.maxLength, 64);
});

test('data given by an override is relative to the working directory', () => {
  assert.equal(loadConfig(write('data: x'), ['data=y']).data, join(process.cwd(), 'y'));
  assert.equal(loadConfig(write('data: /somewhere')).data, '/somewhere');
});

test('a config that is not there is a fault of the user', () => {
  assert.throws(() => loadConfig(join(folder, 'none.yaml')), {
    code: 'CONFIG_NOT_FOUND',
    message: /no such file/,
  });
  assert.throws(() => loadConfig(folder), { code: 'CONFIG_NOT_FOUND', message: /it is a folder/ });
});

test('a config survives JSON, and a damaged one is refused', () => {
  const config = loadConfig(write('data: x'));
  assert.deepEqual(parseRunConfig(JSON.parse(JSON.stringify(config)), 'state.json'), config);
  assert.throws(() => parseRunConfig({ ...config, seed: -1 }, 'state.json'), {
    message: 'state.json: seed: expected a whole number, 0 or more, got -1',
  });
});
