// Keys from the command line to the last checkpoint: real processes, encrypted connections.
import assert from 'node:assert/strict';
import { chmod, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { folderWithData, hashOfTrained, removeFolder } from '../support/small-data.js';

const CONFIG = `
data: ./data
tracking: { samples: 0 }
model: { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
window: 8
batch: { microBatches: 4, samples: 2 }
steps: 4
reducers: 2
worker: { threads: 1 }
`;

let folder = '';

before(async () => {
  folder = await folderWithData(CONFIG);
  const made = lockstep('keygen', 'coordinator', 'worker', 'stranger');
  assert.equal(await made.exit(), 0, made.text());
});

after(() => removeFolder(folder));

function lockstep(...args: string[]): LockstepProcess {
  return new LockstepProcess(args, { cwd: folder });
}

const COORDINATOR_KEYS = ['--key', 'keys/coordinator.key', '--workers-allowed', 'keys/worker.pub'];

const trained = (run: string): Promise<string> => hashOfTrained(path.join(folder, run), 4);

test('an allowed worker trains the same bits over encrypted connections, beside a stranger who is kept out', async () => {
  const plain = lockstep('train', 'run.yaml', '--workers', '1', '--run', 'plain');
  assert.equal(await plain.exit(), 0, plain.text());

  const bind = ['--bind', 'tcp://0.0.0.0:*', '--log-level', 'info'];
  const run = lockstep('coordinator', 'run.yaml', ...bind, ...COORDINATOR_KEYS, '--run', 'keyed');
  const { url } = await run.listening();
  const address = url.replace('0.0.0.0', '127.0.0.1');
  const work = (key: string): LockstepProcess =>
    lockstep('worker', address, '--key', `keys/${key}.key`, '--coordinator-key', 'keys/coordinator.pub');
  const stranger = work('stranger');
  assert.equal(await stranger.exit(), 2, stranger.text());
  assert.match(stranger.text(), /not on the coordinator's allow-list: add it there/);
  const worker = work('worker');
  assert.equal(await worker.exit(), 0, worker.text());
  assert.equal(await run.exit(), 0, run.text());
  assert.match(run.text(), /\(key worker\) on .* joined/);
  assert.equal(await trained('keyed'), await trained('plain'));
});

test('train gives the workers that it starts keys of their own, which go with it', async () => {
  const before = await readdir(tmpdir());
  const bind = ['--bind', 'tcp://127.0.0.1:*', '--log-level', 'info'];
  const run = lockstep('train', 'run.yaml', ...bind, ...COORDINATOR_KEYS, '--workers', '1', '--run', 'local');
  assert.equal(await run.exit(), 0, run.text());
  assert.match(run.text(), /worker-1 \(key local\)/);
  const left = (await readdir(tmpdir())).filter((name) => !before.includes(name));
  assert.deepEqual(
    left.filter((name) => name.startsWith('lockstep-keys-')),
    [],
  );
});

test('beyond this machine a coordinator listens only with keys, or when it is told that this is safe', async () => {
  for (const bind of ['tcp://0.0.0.0:*', 'tcp://*:*', 'tcp://127.0.0.1.example:*']) {
    const refused = lockstep('coordinator', 'run.yaml', '--bind', bind, '--run', 'open');
    assert.equal(await refused.exit(), 2, refused.text());
    assert.match(refused.text(), /lockstep keygen.*--key and --workers-allowed, or --insecure/);
  }
  const open = lockstep(
    'coordinator',
    'run.yaml',
    '--bind',
    'tcp://0.0.0.0:*',
    '--http',
    '0.0.0.0:0',
    '--insecure',
    '--run',
    'open',
  );
  await open.line('that it warns', ({ msg }) => msg.includes('whoever reaches tcp://0.0.0.0'));
  // What listens at all addresses is shown with one that a browser here can go to.
  await open.line('where its page is', ({ msg }) =>
    /^Live page: http:\/\/127\.0\.0\.1:\d+, and at this machine's other addresses /.test(msg),
  );
  open.kill('SIGTERM');
  await open.exit();
});

test('options that belong together, and secret keys that others can read, are named', async () => {
  const half = lockstep('worker', 'tcp://127.0.0.1:1', '--key', 'keys/worker.key');
  assert.equal(await half.exit(), 2);
  assert.match(half.text(), /--key and --coordinator-key belong together: --coordinator-key is missing/);
  await chmod(path.join(folder, 'keys/stranger.key'), 0o644);
  const exposed = ['--key', 'keys/stranger.key', '--coordinator-key', 'keys/coordinator.pub'];
  const refused = lockstep('worker', 'tcp://127.0.0.1:1', ...exposed);
  assert.equal(await refused.exit(), 2);
  assert.match(refused.text(), /others can read or write it \(mode 0644\): chmod 600 keys\/stranger.key/);
});
