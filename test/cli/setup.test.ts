import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { packageRoot } from '../../src/util/package.js';
import { skip } from '../engine/tensorflow/available.js';

const isThere = skip === false;

function setup(...args: string[]): { code: number | null; out: string; err: string } {
  const main = `${packageRoot}dist/src/cli/main.js`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'setup', ...args], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

test('an engine that is not one is named, with those that are', () => {
  const { code, err } = setup('pytorch');
  assert.equal(code, 2);
  assert.match(err, /'pytorch' is invalid.*Allowed choices are tensorflow/);
});

test('what is there already is left as it is', { skip }, () => {
  const { code, out, err } = setup('tensorflow', '--python', '/nowhere/python3', '--json');
  assert.equal(code, 0, err);
  assert.match(err, /is there and loads: nothing to build/);
  assert.match((JSON.parse(out) as { version: string }).version, /^TensorFlow \d/);
});

test(
  'without Python one sentence says what to do, before anything is downloaded',
  { skip: isThere && 'the tensorflow engine is there: Python is not asked for' },
  () => {
    const { code, err } = setup('tensorflow', '--python', '/nowhere/python3');
    assert.equal(code, 2);
    assert.match(err, /^error: \/nowhere\/python3 was not found: install Python 3 .*\.\n$/m);
  },
);
