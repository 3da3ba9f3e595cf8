// Peers that mean no good, against a coordinator that trains meanwhile: real sockets, no keys.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { isCommit } from '../../bench/support/log-lines.js';
import { peakResidentBytes } from '../../bench/support/process-usage.js';
import { chaosCases } from './cases.js';
import { HostilePeer, RawConnections, Wiretap } from './hostile-peers.js';
import type { Scene } from './scene.js';

const chaos = chaosCases();

const SILENT = 200;
const RANDOM = 20;
const FAR = Number.MAX_SAFE_INTEGER;
const NODE = { step: 0, round: 0, level: 0, index: 0 };
const MOST_GROWTH_BYTES = 256 * 2 ** 20;

async function sendAndBeTurnedAway(peers: readonly HostilePeer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.turnedAway()));
  for (const peer of peers) peer.close();
}

/** Nonsense from peers that have no session. */
async function nonsense(url: string, reducers: readonly string[]): Promise<void> {
  const peers = [url, ...reducers].flatMap((target, i) => {
    const open = (): HostilePeer => new HostilePeer(target, i === 0 ? 'coordinator' : 'reducer');
    const random = Array.from({ length: RANDOM }, (_, size) => open().send([randomBytes(size * 100 + 1)]));
    const inSession = { session: 'x'.repeat(32), term: 1 };
    return [
      ...random,
      open().send(Array.from({ length: 1000 }, () => randomBytes(10))),
      open().send([new Uint8Array(64 * 2 ** 20)]),
      open().say({ type: 'hello', name: 'x'.repeat(60_000), host: '', runId: -1, key: 1e300 }),
      open().say({ type: 'chunk', ...inSession, ...NODE, chunk: FAR }, randomBytes(2 ** 20)),
      open().say({ type: 'computed', ...inSession, ...NODE, level: 2 ** 31, seconds: -1 }, randomBytes(64)),
      open().say({ type: 'constructor', __proto__: [], session: {}, term: null }),
    ];
  });
  await sendAndBeTurnedAway(peers);
}

/** Absurd fields from peers that were given a session. Returns the names that they gave themselves. */
async function absurdities(url: string, reducers: readonly string[]): Promise<string[]> {
  const [reducer] = reducers as [string];
  const asWorker: Readonly<Record<string, object>> = {
    sequence: { type: 'heartbeat', sequence: -1, echo: 0, report: {} },
    again: { type: 'hello', name: 'x', host: 'y', runId: null, key: null },
    fingerprint: {
      type: 'ready',
      engine: { engine: 'evil', matmul: '', isa: '' },
      probe: 'f'.repeat(64),
    },
    seconds: { type: 'computed', ...NODE, seconds: 'many' },
  };
  const toReducer: Readonly<Record<string, object>> = {
    chunk: { type: 'chunk', ...NODE, chunk: 0 },
    tree: { type: 'offer', ...NODE, level: 40, index: FAR },
    pull: { type: 'pull', version: 0, chunk: FAR, received: 0 },
    received: { type: 'received', received: FAR },
  };
  const attack = async (what: string, body: object, isForReducer: boolean): Promise<string> => {
    const name = `evil-${what}`;
    const control = new HostilePeer(url, 'coordinator').greet(name);
    const { session, term } = await control.answer('welcome');
    const data = isForReducer ? new HostilePeer(reducer, 'reducer') : undefined;
    await data?.say({ type: 'attach', session, term }).answer('attached');
    (data ?? control).say({ ...body, session, term });
    await control.turnedAway();
    control.close();
    data?.close();
    return name;
  };
  return Promise.all([
    ...Object.entries(asWorker).map(([what, body]) => attack(what, body, false)),
    ...Object.entries(toReducer).map(([what, body]) => attack(what, body, true)),
  ]);
}

/** Says what another has said, and speaks for its session, which was overheard. */
async function replay(url: string, reducers: readonly string[], tap: Wiretap): Promise<void> {
  const envelope = await tap.session();
  const raw = new RawConnections();
  await raw.open(url, Buffer.concat(tap.fromWorker));
  const computed = { type: 'computed', ...envelope, ...NODE, seconds: 1 };
  await sendAndBeTurnedAway([
    new HostilePeer(url, 'coordinator').say({ type: 'leave', ...envelope, reason: 'bye' }),
    new HostilePeer(url, 'coordinator').say(computed, randomBytes(32)),
    ...reducers.map((reducer) => new HostilePeer(reducer, 'reducer').say({ type: 'attach', ...envelope })),
    ...reducers.map((reducer) =>
      new HostilePeer(reducer, 'reducer').say({ type: 'received', ...envelope, received: 1 }),
    ),
  ]);
  raw.close();
}

async function attackWhileItTrains(scene: Scene): Promise<void> {
  const coordinator = await scene.startCoordinator();
  const { url, reducers } = await scene.listening();
  const idle = peakResidentBytes(coordinator.pid);
  const crowd = new RawConnections();
  scene.atClose(() => Promise.resolve(crowd.close()));
  for (const target of [url, ...reducers]) {
    for (let i = 0; i < SILENT; i++) await crowd.open(target, null);
    for (let i = 0; i < RANDOM; i++) await crowd.open(target, randomBytes(4096));
  }
  await nonsense(url, reducers);
  const tap = await Wiretap.open(url);
  scene.atClose(() => Promise.resolve(tap.close()));
  const honest = scene.worker('honest', { url: tap.url });
  scene.worker('other');
  await coordinator.line('a step', isCommit(1));
  const [names] = await Promise.all([
    absurdities(url, reducers),
    replay(url, reducers, tap),
    nonsense(url, reducers),
  ]);
  const growth = peakResidentBytes(coordinator.pid) - idle;
  assert.ok(growth < MOST_GROWTH_BYTES, `it grew by ${growth} bytes`);
  assert.equal(await coordinator.exit(), 0, coordinator.text());
  assert.equal(await honest.exit(), 0, honest.text());
  for (const name of names) {
    const left = ({ msg }: { msg: string }): boolean => msg.startsWith(`${name} on nowhere left: `);
    assert.ok(coordinator.lines.some(left), `${name} is named\n${coordinator.text()}`);
  }
  const refused = coordinator.lines.filter(({ msg }) => msg.startsWith('refused a connection'));
  assert.ok(refused.length >= RANDOM && refused.every(({ peer }) => typeof peer === 'string'));
  const left = coordinator.lines.filter(({ msg }) => / left: /.test(msg));
  assert.deepEqual(
    left.filter(({ msg }) => /^(honest|other) /.test(msg)),
    [],
    'honest workers stay',
  );
}

chaos(
  'peers that send nonsense, absurd fields and huge frames, say nothing, or speak for another change nothing',
  {
    model: 'chunked',
    settings: ['reducers=2'],
    skip: process.platform !== 'linux' && 'needs /proc',
  },
  attackWhileItTrains,
);
