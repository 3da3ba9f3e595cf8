// The archive for machines with a GPU and nothing else, unpacked and used with an empty environment; on the emulation, which lies in it.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package.js';
import { IS_FULL } from '../chaos/cases.js';

const execute = promisify(execFile);

function missing(): string | false {
  if (!IS_FULL) return 'takes a minute: LOCKSTEP_CHAOS=full npm test -- gpu-archive runs it';
  return spawnSync(process.env['NVCC'] ?? 'nvcc', ['--version']).error
    ? 'needs nvcc, of a CUDA toolkit of version 12 or 13'
    : false;
}

describe('the archive for a bare machine with a GPU', { skip: missing() }, () => {
  let folder = '';
  let here = '';

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lockstep-archive-'));
    here = path.join(folder, 'lockstep-gpu');
    const file = path.join(folder, 'archive.tar.xz');
    await execute(process.execPath, [`${packageRoot}scripts/archive-gpu.mjs`, '--fast', '--out', file]);
    assert.ok((await stat(file)).size < 60 * 2 ** 20);
    await execute('tar', ['-C', folder, '-xf', file]);
  });

  after(() => rm(folder, { recursive: true, force: true }));

  /** Without a PATH there is no other Node, and without HOME no cache of one. */
  const run = async (...args: string[]): Promise<string> => {
    const env = {
      PATH: path.join(here, 'nothing'),
      LOCKSTEP_CUDA_LIBRARY: `${here}/build/lockstep-cuda-emulated.so`,
    };
    const { stdout } = await execute(path.join(here, 'run'), args, { cwd: folder, env, maxBuffer: 2 ** 26 });
    return stdout;
  };

  test('its kernels are exact', async () => {
    assert.match(await run('kernels'), /^adamW .* good$/m);
  });

  test('its tests pass', async () => {
    const output = await run('test', 'training', 'lifetime');
    assert.match(output, /^ℹ fail 0$/m);
    assert.match(output, /a node's gradient in bfloat16/);
  });

  test('its benchmark prints every figure with its goal', async () => {
    const output = await run('bench', '--quick', '--no-torch');
    assert.match(output, /^SHA-256 of weights.* equal +equal +yes$/m);
    assert.match(output, /^base: .* at most 5\.0 % +[\d.]+ %/m);
  });

  test('its doctor finds the device', async () => {
    assert.match(await run('doctor'), /CUDA +usable as --device cuda:0/);
  });

  test('it trains', async () => {
    const tiny = ['model.width=16', 'model.feedForward=16', 'model.encoderLayers=1', 'model.decoderLayers=1'];
    const short = ['window=8', 'batch.samples=2', 'steps=2', 'evaluate.every=2', 'evaluate.batches=1'];
    const settings = [...tiny, ...short].flatMap((setting) => ['--set', setting]);
    await run('train', '--workers', '1', ...settings);
    const data = await stat(path.join(here, 'scratch', 'data'));
    assert.ok(data.isDirectory());
  });
});
