import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fetchMessageOf } from '../../src/util/errors.js';

/** Of this machine, and nobody listens there. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('a fetch that fails says why: what refused it, not that it failed', async () => {
  const port = await freePort();
  const messageOf = async (host: string): Promise<string> => {
    const error: unknown = await fetch(`http://${host}:${port}`).catch((error: unknown) => error);
    return fetchMessageOf(error);
  };
  assert.equal(await messageOf('127.0.0.1'), `connect ECONNREFUSED 127.0.0.1:${port}`);
  assert.match(await messageOf('localhost'), /ECONNREFUSED/);
});

test('another error keeps its own sentence, whatever caused it', () => {
  const error = new Error('it answers 503', { cause: new Error('deeper') });
  assert.equal(fetchMessageOf(error), 'it answers 503');
  assert.equal(fetchMessageOf(new TypeError('no number')), 'no number');
});
