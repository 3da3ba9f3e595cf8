import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { LOCKSTEP, runLockstep, runNode, type Outcome } from '../../bench/support/run-lockstep.js';
import { packageRoot, packageVersion } from '../../src/util/package.js';

const lockstep = (...args: string[]): Promise<Outcome> => runLockstep(args);

/** Runs a piece of a program that uses output.ts. */
function withOutput(program: string) {
  const prelude = `import * as output from ${JSON.stringify(`${packageRoot}dist/src/cli/output.js`)};
    import { UserError } from ${JSON.stringify(`${packageRoot}dist/src/util/errors.js`)};`;
  return runNode(['--input-type=module', '-e', `${prelude}\n${program}`]);
}

test('--version and --help succeed on stdout', async () => {
  const version = await lockstep('--version');
  assert.deepEqual(version, { code: 0, out: `${packageVersion()}\n`, err: '' });
  const help = await lockstep('--help');
  assert.equal(help.code, 0);
  assert.match(help.out, /Usage: lockstep/);
  assert.equal(help.err, '');
});

test('a fault in the arguments ends with 2, says what is wrong and leaves stdout empty', async () => {
  const unknown = await lockstep('docter');
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /^error: unknown command 'docter'\n\(Did you mean doctor\?\)/);
  assert.equal(unknown.out, '');
  const option = await lockstep('doctor', '--jsn');
  assert.equal(option.code, 2);
  assert.match(option.err, /unknown option '--jsn'\n\(Did you mean --json\?\)/);
  const missing = await lockstep('setup');
  assert.match(
    missing.err,
    /^error: missing required argument 'engine'\n\(lockstep setup --help lists its arguments/,
  );
  const choice = await lockstep('worker', 'tcp://127.0.0.1:1', '--log-level', 'loud');
  assert.equal(choice.code, 2);
  assert.match(choice.err, /argument 'loud' is invalid. Allowed choices are trace, debug, info, warn, error/);
  assert.equal((await lockstep()).code, 2);
});

test('a key of the config that is given as an option is answered with how keys are set', async () => {
  const train = (...options: string[]): Promise<Outcome> =>
    lockstep('train', 'examples/masked.yaml', ...options);
  const engine = await train('--engine', 'tensorflow');
  assert.equal(engine.code, 2);
  assert.match(
    engine.err,
    /unknown option '--engine'\n.*\nkeys of the config .*: --set worker\.engine=…\n$/s,
  );
  const rate = await lockstep('coordinator', 'run.yaml', '--learning-rate=1');
  assert.match(rate.err, /: --set optimizer\.learningRate=…\n$/);
  const every = await train('--every', '7');
  assert.match(every.err, /: --set evaluate\.every=… or --set checkpoint\.every=…\n$/);
  assert.doesNotMatch((await train('--nonsense')).err, /--set/);
  assert.doesNotMatch((await lockstep('doctor', '--engine', 'native')).err, /--set/);
});

test('--json prints one line of JSON, before or after the command', async () => {
  for (const args of [
    ['doctor', '--json'],
    ['--json', 'doctor'],
  ]) {
    const { out } = await lockstep(...args);
    assert.match(out, /^\{.*\}\n$/);
    const diagnosis = JSON.parse(out) as {
      node: string;
      engines: { name: string; info: object | null; fault: string | null }[];
      packages: { name: string; fault: string | null }[];
    };
    assert.equal(diagnosis.node, process.versions.node);
    assert.deepEqual(
      diagnosis.engines.map(({ name, info, fault }) => [name, info === null || fault === null]),
      [
        ['native', true],
        ['tensorflow', true],
      ],
    );
    assert.deepEqual(
      diagnosis.packages.map(({ name, fault }) => [name, fault]),
      [
        ['zeromq', null],
        ['tokenizers', null],
      ],
    );
  }
});

test('`schema` prints the committed JSON Schema', async () => {
  const { out } = await lockstep('schema');
  const committed = readFileSync(`${packageRoot}lockstep.schema.json`, 'utf8');
  assert.equal(out, committed);
  const { out: line } = await lockstep('schema', '--json');
  assert.equal(line, `${JSON.stringify(JSON.parse(committed))}\n`);
});

test('a closed pipe is no fault', async () => {
  const child = spawn(process.execPath, [LOCKSTEP, 'schema'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number]>]);
  assert.deepEqual({ code, err }, { code: 0, err: '' });
});

test("a user's fault is one sentence and exit code 2", async () => {
  const { code, err } = await withOutput(
    `process.exitCode = output.reportFailure(new UserError('X', 'expected this, got that'));`,
  );
  assert.deepEqual({ code, err }, { code: 2, err: 'error: expected this, got that\n' });
});

test('a fault of ours is a stack, its causes and exit code 1', async () => {
  const { code, err } = await withOutput(
    `process.exitCode = output.reportFailure(new TypeError('broken', { cause: new Error('deeper') }));`,
  );
  assert.equal(code, 1);
  assert.match(err, /^TypeError: broken\n +at /);
  assert.match(err, /\ncaused by: Error: deeper\n +at /);
  assert.match(err, /This is a fault of Lockstep/);
});

test('an interrupted command ends with 130', async () => {
  const { code, err } = await withOutput(
    `process.exitCode = output.reportFailure(new output.Interrupted('run it again to go on'));`,
  );
  assert.deepEqual({ code, err }, { code: 130, err: 'run it again to go on\n' });
});

test('what a library logs does not reach stdout', async () => {
  const { out, err } = await withOutput(`output.keepStdoutForResults(); console.log('chatter');`);
  assert.deepEqual({ out, err }, { out: '', err: 'chatter\n' });
});

test('what the operating system refuses is one sentence and exit code 2', async () => {
  const { code, err } = await withOutput(`
    import { mkdir } from 'node:fs/promises';
    process.exitCode = output.reportFailure(await mkdir('/dev/null/run').catch((error) => error));`);
  assert.equal(code, 2);
  assert.equal(err, "error: the system refused: ENOTDIR: not a directory, mkdir '/dev/null/run'\n");
});

test('a process, or a thread of it, that may open no more files says what its limit is and how to raise it', async () => {
  const { code, err } = await withOutput(`
    import { checkFileLimit } from ${JSON.stringify(`${packageRoot}dist/src/cli/file-limit.js`)};
    import { receivedError, sentError } from ${JSON.stringify(`${packageRoot}dist/src/util/errors.js`)};
    checkFileLimit('a coordinator');
    const refused = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    process.exitCode = output.reportFailure(receivedError(structuredClone(sentError(refused))));`);
  assert.equal(code, 2, err);
  assert.match(
    err,
    /^error: the system refused: EMFILE: too many open files: raise the limit of open files and connections, which is \d+ here \(ulimit -n \d+\)\n$/,
  );
});
