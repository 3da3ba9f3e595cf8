// Which connection may speak for which session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peers, type Hearing } from '../../../src/coordinator/reducer/peers.js';

const TERM = 3;
const NOTHING = new Uint8Array(0);

function attach(peers: Peers, peer: string, session: string, term = TERM): Hearing {
  return peers.hear(peer, { type: 'attach', session, term, payload: NOTHING });
}

function received(peers: Peers, peer: string, session: string, term = TERM): Hearing {
  return peers.hear(peer, { type: 'received', session, term, received: 0, payload: NOTHING });
}

test('a connection speaks for the session that it attached to, and for no other', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  peers.openSession('session2');
  assert.equal(attach(peers, 'a', 'session1'), 'accept');
  assert.equal(received(peers, 'a', 'session1'), 'accept');
  assert.deepEqual(received(peers, 'a', 'session2'), { refuse: 'the session is not known here' });
  assert.deepEqual(received(peers, 'b', 'session1'), { refuse: 'the session is not known here' });
});

test('a message of another term is refused, whatever its session', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  assert.deepEqual(attach(peers, 'a', 'session1', TERM - 1), { refuse: 'this is term 3, not 2' });
  attach(peers, 'b', 'session1');
  assert.deepEqual(received(peers, 'b', 'session1', TERM - 1), { refuse: 'this is term 3, not 2' });
});

test('who is refused is told once, and not heard again on that connection', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  assert.deepEqual(received(peers, 'a', 'session1'), { refuse: 'the session is not known here' });
  assert.equal(received(peers, 'a', 'session1'), 'drop');
  assert.equal(attach(peers, 'a', 'session1'), 'drop');
  peers.disconnected('a');
  assert.equal(attach(peers, 'a', 'session1'), 'accept');
});

test('those who attach to sessions that nobody opens are bounded', () => {
  const peers = new Peers(TERM);
  let waiting = 0;
  while (attach(peers, `flood-${waiting}`, `nothing-${waiting}`) === 'drop') waiting++;
  assert.ok(waiting > 0 && waiting <= 10_000);
  peers.openSession('session1');
  assert.equal(attach(peers, 'a', 'session1'), 'accept', 'others are not kept out');
});

test('a second connection cannot take a session over', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  attach(peers, 'a', 'session1');
  assert.deepEqual(attach(peers, 'b', 'session1'), { refuse: 'the session is attached already' });
  assert.equal(peers.peerOf('session1'), 'a');
});

test('who attaches before the coordinator has opened the session is heard when it does', () => {
  const peers = new Peers(TERM);
  assert.equal(attach(peers, 'a', 'session1'), 'drop');
  assert.equal(peers.sessionOf('a'), undefined);
  const [early] = peers.openSession('session1');
  assert.equal(peers.hear(...early!), 'accept');
  assert.equal(peers.sessionOf('a'), 'session1');
});

test('what a worker still says after its session was closed is dropped', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  attach(peers, 'a', 'session1');
  peers.closeSession('session1');
  assert.equal(received(peers, 'a', 'session1'), 'drop');
  assert.equal(peers.disconnected('a'), undefined, 'a closed session is not lost once more');
});

test('a session whose connection broke is over: nobody attaches to it again', () => {
  const peers = new Peers(TERM);
  peers.openSession('session1');
  attach(peers, 'a', 'session1');
  assert.equal(peers.disconnected('a'), 'session1');
  assert.notEqual(attach(peers, 'b', 'session1'), 'accept');
  assert.equal(peers.sessionOf('b'), undefined);
});
