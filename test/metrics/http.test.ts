import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { Counter, Registry } from 'prom-client';
import { startHttp, type HttpOptions } from '../../src/metrics/http.js';

async function serve(t: TestContext, changes: Partial<HttpOptions> = {}) {
  const server = await startHttp({
    port: 0,
    registry: new Registry(),
    alive: () => null,
    ready: () => null,
    ...changes,
  });
  t.after(() => server.close().catch(() => {}));
  return server;
}

async function get(url: string, init?: RequestInit): Promise<[status: number, body: string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

test('/metrics serves the registry in the format that Prometheus reads', async (t) => {
  const registry = new Registry();
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(3);
  const { url } = await serve(t, { registry });
  const response = await fetch(`${url}/metrics?x=1`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(
    await response.text(),
    /^# HELP things_total Things\.\n# TYPE things_total counter\nthings_total 3\n/,
  );
});

test('/healthz and /readyz say 200 while all is well and 503 with the reason when it is not', async (t) => {
  let problem: string | null = null;
  const { url } = await serve(t, { ready: () => problem });
  assert.deepEqual(await get(`${url}/readyz`), [200, 'ok\n']);
  problem = 'no step was committed for 90 s: no worker is connected';
  assert.deepEqual(await get(`${url}/readyz`), [503, `${problem}\n`]);
  assert.deepEqual(await get(`${url}/healthz`), [200, 'ok\n']);
});

test('other paths are 404, other methods 405, and HEAD has no body', async (t) => {
  const { url } = await serve(t);
  assert.equal((await get(`${url}/`))[0], 404);
  assert.equal((await get(`${url}/metrics/x`))[0], 404);
  assert.equal((await get(`${url}/metrics`, { method: 'POST' }))[0], 405);
  assert.deepEqual(await get(`${url}/healthz`, { method: 'HEAD' }), [200, '']);
});

test('a check that throws is a 500, and the server lives on', async (t) => {
  const { url } = await serve(t, {
    alive: () => {
      throw new Error('broken check');
    },
  });
  assert.deepEqual(await get(`${url}/healthz`), [500, 'broken check\n']);
  assert.equal((await get(`${url}/readyz`))[0], 200);
});

test('it listens on the loopback address unless told otherwise', async (t) => {
  assert.match((await serve(t)).url, /^http:\/\/127\.0\.0\.1:\d+$/);
});

test('a port in use, and an address that is not ours, are faults of the user', async (t) => {
  const port = Number(new URL((await serve(t)).url).port);
  await assert.rejects(serve(t, { port }), {
    code: 'PORT_IN_USE',
    message: new RegExp(`127\\.0\\.0\\.1:${port}: .*in use`),
  });
  await assert.rejects(serve(t, { host: '192.0.2.1' }), { code: 'HTTP_BIND', message: /192\.0\.2\.1:0/ });
});

test('closing ends connections that are open, and frees the port', { timeout: 8000 }, async (t) => {
  const server = await serve(t);
  const port = Number(new URL(server.url).port);
  const idle = connect(port, '127.0.0.1');
  idle.on('error', () => {});
  t.after(() => idle.destroy());
  await once(idle, 'connect');
  idle.write('GET /metrics HTTP/1.1\r\n');
  await fetch(`${server.url}/healthz`);
  await server.close();
  if (!idle.destroyed) await once(idle, 'close');
  await serve(t, { port });
});
