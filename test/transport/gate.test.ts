// Encrypted sockets: whose messages arrive, and what those are told who are kept out.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Dealer } from 'zeromq';
import { DealerSocket } from '../../src/transport/dealer.js';
import { openGate } from '../../src/transport/gate.js';
import { generateKeyPair, z85, type ClientSecurity, type ServerSecurity } from '../../src/transport/keys.js';
import { RouterSocket } from '../../src/transport/router.js';

const HEARTBEAT_MS = 5000;
const coordinator = generateKeyPair();
const worker = generateKeyPair();
const stranger = generateKeyPair();
const allowed = new Set([key(worker.publicKey)]);

function key(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function routerOf(security: ServerSecurity | null): RouterSocket {
  return new RouterSocket({ heartbeatMs: HEARTBEAT_MS, security, maxFrameBytes: 1024, maxWaiting: 16 });
}

let router: RouterSocket;
let url = '';
let closeGate = (): void => undefined;
const heard: string[] = [];

before(async () => {
  closeGate = await openGate('here', (publicKey) => allowed.has(key(publicKey)));
  router = routerOf({ secretKey: coordinator.secretKey, domain: 'here' });
  url = await router.bind('tcp://127.0.0.1:*');
  void router.receive({
    message: (peer, [text]) => {
      heard.push(String(text));
      router.send(peer, [Buffer.from('answer')]);
    },
    disconnected: () => undefined,
    overflowed: () => undefined,
  });
});

after(async () => {
  router.close();
  closeGate();
  for (let run = 0; run < 100; run++) await endedWhileSomebodyKnocks('a later run');
});

/** A run of the same process that is over at once: the gate before it still holds its address, and is asked by strangers. */
async function endedWhileSomebodyKnocks(domain: string): Promise<void> {
  const close = await openGate(domain, () => false);
  const later = routerOf({ secretKey: coordinator.secretKey, domain });
  const address = await later.bind('tcp://127.0.0.1:*');
  const knocking = Array.from({ length: 4 }, () => {
    const dealer = new Dealer({ linger: 0, reconnectInterval: 1 });
    dealer.curveServerKey = z85(coordinator.publicKey);
    dealer.curvePublicKey = z85(stranger.publicKey);
    dealer.curveSecretKey = z85(stranger.secretKey);
    dealer.connect(address);
    return dealer;
  });
  await setTimeout(2);
  close();
  later.close();
  for (const dealer of knocking) dealer.close();
}

/** What comes back first: an answer, or why there is none. */
function ask(address: string, text: string, security: ClientSecurity | null): Promise<string> {
  return new Promise((resolve) => {
    const dealer = new DealerSocket(address, HEARTBEAT_MS, security);
    const end = (result: string): void => {
      dealer.close();
      resolve(result);
    };
    dealer.open({
      message: ([frame]) => end(String(frame)),
      lost: (reason, hopeless) => end(`${hopeless ? 'for good' : 'for now'}: ${reason}`),
    });
    dealer.send([Buffer.from(text)]);
  });
}

test('a worker whose key is on the list is heard and answered', async () => {
  assert.equal(
    await ask(url, 'from a worker', { keys: worker, coordinator: coordinator.publicKey }),
    'answer',
  );
});

test('nobody else is heard, and each is told what is wrong', async () => {
  const unknown = await ask(url, 'unknown', { keys: stranger, coordinator: coordinator.publicKey });
  assert.match(unknown, /for good: .*not on the coordinator's allow-list/);
  const misled = await ask(url, 'misled', { keys: worker, coordinator: stranger.publicKey });
  assert.match(misled, /for now: .*--coordinator-key the public key of this coordinator\?/);
  assert.match(await ask(url, 'plain', null), /--key and --coordinator-key|does this coordinator want keys/);
  assert.deepEqual(
    heard.filter((text) => text !== 'from a worker'),
    [],
  );
});

test('a key that is taken off the list, or put on it, counts for the next connection', async () => {
  const security = { keys: stranger, coordinator: coordinator.publicKey };
  allowed.add(key(stranger.publicKey));
  assert.equal(await ask(url, 'from a worker', security), 'answer');
  allowed.delete(key(stranger.publicKey));
  assert.match(await ask(url, 'late', security), /allow-list/);
});

test('where the gate does not know a socket’s domain, nobody gets in', async () => {
  const other = routerOf({ secretKey: coordinator.secretKey, domain: 'elsewhere' });
  const address = await other.bind('tcp://127.0.0.1:*');
  void other.receive({
    message: () => assert.fail('heard'),
    disconnected: () => undefined,
    overflowed: () => undefined,
  });
  const security = { keys: worker, coordinator: coordinator.publicKey };
  assert.match(await ask(address, 'hello', security), /allow-list/);
  other.close();
});

test('a worker with keys does not talk to a coordinator without', async () => {
  const open = routerOf(null);
  const address = await open.bind('tcp://127.0.0.1:*');
  void open.receive({
    message: () => assert.fail('heard'),
    disconnected: () => undefined,
    overflowed: () => undefined,
  });
  const security = { keys: worker, coordinator: coordinator.publicKey };
  assert.match(await ask(address, 'hello', security), /the coordinator has no key|--coordinator-key/);
  open.close();
});
