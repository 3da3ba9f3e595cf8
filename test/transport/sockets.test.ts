// A ROUTER and DEALERs on this machine: what arrives, and who is told that the other side has gone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Dealer } from 'zeromq';
import { DealerSocket } from '../../src/transport/dealer.js';
import { RouterSocket, type PeerId } from '../../src/transport/router.js';
import { SendQueue } from '../../src/transport/send-queue.js';

const HEARTBEAT_MS = 2000;
const LIMITS = { maxFrameBytes: 2 ** 20, maxWaiting: 1000 };

interface Server {
  readonly router: RouterSocket;
  readonly url: string;
  /** The next message or departure. */
  readonly next: () => Promise<{ peer: PeerId; frames: string[] | 'gone' | 'full' }>;
  /** Settles when the receive loop ends. */
  readonly ended: Promise<void>;
}

async function serve(limits: Partial<typeof LIMITS> = {}): Promise<Server> {
  const router = new RouterSocket({ heartbeatMs: HEARTBEAT_MS, security: null, ...LIMITS, ...limits });
  const url = await router.bind('tcp://127.0.0.1:*');
  const happened: { peer: PeerId; frames: string[] | 'gone' | 'full' }[] = [];
  let wake = (): void => undefined;
  const note = (peer: PeerId, frames: string[] | 'gone' | 'full'): void => {
    happened.push({ peer, frames });
    wake();
  };
  const ended = router.receive({
    message: (peer, frames) => note(peer, frames.map(String)),
    disconnected: (peer) => note(peer, 'gone'),
    overflowed: (peer) => note(peer, 'full'),
  });
  const next: Server['next'] = async () => {
    while (happened.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return happened.shift()!;
  };
  return { router, url, next, ended };
}

function connect(url: string): { dealer: DealerSocket; heard: Promise<string[]>; lost: Promise<string> } {
  const dealer = new DealerSocket(url, HEARTBEAT_MS, null);
  let onLost!: (reason: string) => void;
  const lost = new Promise<string>((resolve) => (onLost = resolve));
  const heard = new Promise<string[]>((resolve) => {
    dealer.open({ message: (frames) => resolve(frames.map(String)), lost: onLost });
  });
  return { dealer, heard, lost };
}

test('a peer that sends a frame larger than any message is disconnected, and the frame is not delivered', async () => {
  const { router, url, next, ended } = await serve();
  const { dealer, lost } = connect(url);
  dealer.send([Buffer.from('small')]);
  assert.deepEqual((await next()).frames, ['small']);
  dealer.send([Buffer.alloc(2 ** 20 + 1)]);
  await lost;
  assert.equal((await next()).frames, 'gone');
  dealer.close();
  router.close();
  await ended;
});

test('messages arrive whole and in order, and answers reach who asked', async () => {
  const { router, url, next, ended } = await serve();
  const { dealer, heard } = connect(url);
  for (let i = 0; i < 20; i++) dealer.send([Buffer.from(`head ${i}`), Buffer.from('payload')]);
  for (let i = 0; i < 20; i++) assert.deepEqual((await next()).frames, [`head ${i}`, 'payload']);
  dealer.send([Buffer.from('question')]);
  const { peer } = await next();
  router.send(peer, [Buffer.from('answer')]);
  assert.deepEqual(await heard, ['answer']);
  dealer.close();
  router.close();
  await ended;
});

test('a peer that closes is reported, and what is sent to it afterwards disturbs nobody', async () => {
  const { router, url, next, ended } = await serve();
  const leaving = connect(url);
  leaving.dealer.send([Buffer.from('hello')]);
  const { peer } = await next();
  leaving.dealer.close();
  assert.deepEqual(await next(), { peer, frames: 'gone' });
  router.send(peer, [Buffer.from('too late')]);
  const staying = connect(url);
  staying.dealer.send([Buffer.from('hello')]);
  router.send((await next()).peer, [Buffer.from('welcome')]);
  assert.deepEqual(await staying.heard, ['welcome']);
  staying.dealer.close();
  router.close();
  await ended;
});

test('a peer that asks and never reads is reported before much waits for it', async () => {
  const { router, url, next, ended } = await serve();
  const deaf = new Dealer({ receiveHighWaterMark: 1, linger: 0 });
  deaf.connect(url);
  await deaf.send('question');
  const { peer } = await next();
  const answer = Buffer.alloc(16 * 1024);
  for (let i = 0; i < 4000; i++) router.send(peer, [answer]);
  assert.deepEqual(await next(), { peer, frames: 'full' });
  deaf.close();
  router.close();
  await ended;
});

test('a router that closes is a lost connection for its peers', async () => {
  const { router, url, next, ended } = await serve();
  const { dealer, lost } = connect(url);
  dealer.send([Buffer.from('hello')]);
  await next();
  router.close();
  assert.match(await lost, /connection lost|hung up/);
  dealer.close();
  await ended;
});

test('nobody listening is a lost connection', async () => {
  const { router, url, ended } = await serve();
  router.close();
  await ended;
  const { dealer, lost } = connect(url);
  assert.match(await lost, /nothing listens there/);
  dealer.close();
});

test('a web server at the address is a lost connection, and the sentence names the port of --http', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { dealer, lost } = connect(`tcp://127.0.0.1:${port}`);
  t.after(() => dealer.close());
  assert.match(await lost, /before the greeting: .*its --http port\?/);
});

test('one send is under way at a time, in order, also when one is refused because its peer has gone', async () => {
  const sent: string[] = [];
  let underWay = 0;
  const queue = new SendQueue(async ([frame]) => {
    assert.equal(++underWay, 1);
    await new Promise((resolve) => setImmediate(resolve));
    underWay--;
    if (String(frame) === 'b') throw Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' });
    sent.push(String(frame));
  });
  for (const text of ['a', 'b', 'c']) queue.push([Buffer.from(text)]);
  await queue.flushed();
  assert.deepEqual(sent, ['a', 'c']);
  queue.close();
  queue.push([Buffer.from('d')]);
  await queue.flushed();
  assert.deepEqual(sent, ['a', 'c']);
});
