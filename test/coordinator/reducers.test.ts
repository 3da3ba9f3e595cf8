import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromReducer, ReducerSetup } from '../../src/coordinator/reducer/port.js';
import { Reducers } from '../../src/coordinator/reducers.js';
import { sharedFloats } from '../../src/engine/native/shared-floats.js';
import { userError } from '../support/user-error.js';

const ELEMENTS = 8;

function setup(): ReducerSetup {
  const vector = (): Float32Array => sharedFloats(ELEMENTS);
  return {
    security: null,
    bind: 'tcp://127.0.0.1:*',
    term: 1,
    trainable: ELEMENTS,
    total: ELEMENTS,
    slice: { firstChunk: 0, endChunk: 1 },
    undecayed: [],
    microBatches: 1,
    wire: 'float32',
    version: 0,
    heartbeatMs: 1000,
    parameters: vector(),
    moment1: vector(),
    moment2: vector(),
  };
}

test('reducers that fail are told of, end without the process, and can be stopped when they have ended', async () => {
  let reducers: Reducers | undefined;
  const failure = await new Promise<Error>((resolve, reject) => {
    Reducers.start([setup(), setup()], { message: () => undefined, failed: resolve }).then((started) => {
      reducers = started;
      assert.match(started.addresses[0]!.url, /^tcp:\/\/127\.0\.0\.1:\d+$/);
      started.tellAll({ type: 'write', version: 3, files: null }); // of which there is no snapshot
    }, reject);
  });
  assert.match(failure.message, /asked to write version 3 without a snapshot/);
  await reducers!.stop();
  await reducers!.stop();
});

test('a reducer that cannot listen says so as a fault of the user', async () => {
  const handlers = { message: () => undefined, failed: (error: Error) => assert.fail(error) };
  const nowhere = { ...setup(), bind: 'tcp://192.0.2.1:*' };
  await assert.rejects(Reducers.start([nowhere], handlers), userError('BIND_FAILED', /192\.0\.2\.1/));
});

test('parameters that are not finite are never saved', async () => {
  const broken = setup();
  broken.parameters[5] = NaN;
  let heard = (_message: FromReducer): void => undefined;
  const answer = new Promise<FromReducer>((resolve) => (heard = resolve));
  const failed = (error: Error): void => assert.fail(error);
  const reducers = await Reducers.start([broken], { message: (_, message) => heard(message), failed });
  const nowhere = { path: '/no/such/folder', dataOffset: 0, moment1Offset: 0, moment2Offset: 0 };
  reducers.tellAll({ type: 'snapshot', version: 0 });
  reducers.tellAll({ type: 'write', version: 0, files: { model: nowhere, optimizer: nowhere } });
  assert.deepEqual(await answer, { type: 'written', version: 0, failure: 'parameters are not finite' });
  await reducers.stop();
});
