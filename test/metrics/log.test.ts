import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createLogger } from '../../src/metrics/log.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

test('a log is one JSON object a line, from its level up, in the file when the call returns', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'logs', 'run.log');
  const log = createLogger({ level: 'info', name: 'coordinator', file });
  log.debug('not this');
  log.info({ step: 3 }, 'committed');
  log.error(new Error('broken'));
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, 2);
  assert.deepEqual(
    [first!['name'], first!['level'], first!['step'], first!['msg']],
    ['coordinator', 30, 3, 'committed'],
  );
  assert.match(String(first!['time']), /^\d{4}-\d\d-\d\dT/);
  assert.match(JSON.stringify(second!['err']), /"message":"broken","stack":/);
});

test('a log for people is text with the message and its values', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'run.log');
  createLogger({ level: 'debug', name: 'worker', file, pretty: true }).debug({ lease: '4/2' }, 'computing');
  const text = await readFile(file, 'utf8');
  assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] DEBUG \(worker\): computing\n {4}lease: "4\/2"\n$/);
});

test('lines for people go where a terminal is drawn on, when it is told where', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', name: 'x', pretty: true, onLine: (text) => lines.push(text) });
  log.warn('slow');
  log.debug('not this');
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^\[[\d:.]+\] WARN \(x\): slow$/);
});

test('the default log goes to stderr, as JSON when that is no terminal, and leaves stdout alone', async () => {
  const module = new URL('../../src/metrics/log.js', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then((m) => m.createLogger({ level: 'info', name: 'x' }).info('hello'))`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', code]);
  assert.equal(stdout, '');
  assert.equal((JSON.parse(stderr) as { msg: string }).msg, 'hello');
});
