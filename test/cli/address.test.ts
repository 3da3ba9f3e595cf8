import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { parseHttpAddress, parseTcpAddress } from '../../src/cli/address.js';
import { locate } from '../../src/cli/locate.js';
import { workerCommand } from '../../src/cli/security-options.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

test('an address has a host and a port of at most 65535', () => {
  assert.equal(parseTcpAddress('10.0.0.1:65535', { anyPort: false }), 'tcp://10.0.0.1:65535');
  assert.equal(parseTcpAddress('tcp://127.0.0.1:*', { anyPort: true }), 'tcp://127.0.0.1:*');
  for (const wrong of [
    '127.0.0.1:65536',
    'tcp://127.0.0.1:99999',
    'tcp://127.0.0.1',
    'tcp://h:*',
    'tcp://[::1]:7117',
    'ipc://x:1',
  ]) {
    assert.throws(() => parseTcpAddress(wrong, { anyPort: false }), { code: 'ADDRESS_INVALID' }, wrong);
  }
  for (const wrong of ['65536', '[::1:9464', '[]:1', 'h:', ''])
    assert.throws(() => parseHttpAddress(wrong), { code: 'ADDRESS_INVALID', message: /^--http: / }, wrong);
  assert.deepEqual(parseHttpAddress('9464'), { host: '127.0.0.1', port: 9464 });
  assert.deepEqual(parseHttpAddress('[::1]:9464'), { host: '::1', port: 9464 });
  assert.deepEqual(parseHttpAddress('::1:9464'), { host: '::1', port: 9464 });
});

test('the command for a worker names keys where the coordinator has one', () => {
  assert.equal(workerCommand('tcp://h:1', {}), 'Workers: npx lockstep worker tcp://h:1');
  assert.match(workerCommand('tcp://h:1', { key: 'k' }), /tcp:\/\/h:1 --key \S+ --coordinator-key \S+$/);
});

test('a model is named by a path, a URL, or the name of a run', async (t) => {
  const before = process.cwd();
  const folder = await temporaryDirectory(t);
  await mkdir(path.join(folder, 'runs', 'mine'), { recursive: true });
  process.chdir(folder);
  t.after(() => process.chdir(before));
  assert.equal(await locate('mine'), path.join('runs', 'mine'));
  assert.equal(await locate('runs/mine'), 'runs/mine');
  assert.equal(await locate('s3://bucket/mine'), 's3://bucket/mine');
  await assert.rejects(locate('yours'), { code: 'MODEL_NOT_FOUND', message: /no yours, and no runs.yours/ });
  await assert.rejects(locate('./mine'), {
    code: 'MODEL_NOT_FOUND',
    message: /there is no \.\/mine: `lockstep runs`/,
  });
});
