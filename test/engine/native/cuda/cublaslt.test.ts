// What a machine without cuBLASLt is told, by the library that is built for cards.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { loadAddon } from '../../../../src/engine/native/load.js';
import { packageRoot } from '../../../../src/util/package.js';

const library = `${packageRoot}build/lockstep-cuda.so`;
const missing = existsSync(library)
  ? false
  : 'needs nvcc, with which `npm run setup` builds build/lockstep-cuda.so';

test('a cuBLASLt that does not load from where it is said to be is named', { skip: missing }, () => {
  process.env['LOCKSTEP_CUBLASLT'] = '/no/such/libcublasLt.so.13';
  const { cuda } = loadAddon();
  cuda.load(library);
  assert.throws(() => cuda.productVersion(), /LOCKSTEP_CUBLASLT: .*\/no\/such\/libcublasLt\.so\.13/);
});
