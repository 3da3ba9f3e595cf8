import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostFault } from '../../src/worker/host.js';

test('a host that has no address is named, and one that has is not', async () => {
  for (const host of ['localhost', '127.0.0.1', '127.0.0.2'])
    assert.equal(await hostFault(`tcp://${host}:7117`), null);
  assert.match(
    (await hostFault('tcp://coordinator.invalid:7117'))!,
    /^the host coordinator\.invalid is not known here \(E\w+\)$/,
  );
  assert.match((await hostFault('tcp://<host>:7117'))!, /^the host <host> is not known here/);
});
