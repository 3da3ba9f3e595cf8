// Who gets a session: proofs, other runs, and how many may be on their way in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, type Decision, type Greeting } from '../../src/coordinator/admission.js';
import { generateKeyPair, publicKeyText, type KeyPair } from '../../src/transport/keys.js';
import { prove } from '../../src/transport/proof.js';

const RUN = 'run-1';
const coordinator = generateKeyPair();
const worker = generateKeyPair();
const other = generateKeyPair();

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function greeting(keys: KeyPair | null, name = 'w', runId: string | null = null): Greeting {
  return { type: 'hello', name, host: 'h', runId, key: keys && hex(keys.publicKey) };
}

/** With keys; `names` may be changed under way. */
function keyed(names = new Map([[hex(worker.publicKey), 'gpu-1']])): Admission {
  return new Admission({
    runId: RUN,
    keys: { own: coordinator, nameOf: (key) => names.get(hex(key)) },
  });
}

function challengeOf(decision: Decision): string {
  assert.equal(decision.type, 'challenge');
  return decision.type === 'challenge' ? decision.challenge : '';
}

function refused(decision: Decision, pattern: RegExp): void {
  assert.equal(decision.type, 'refuse');
  if (decision.type === 'refuse') assert.match(decision.reason, pattern);
}

test('without keys a greeting is enough', () => {
  const admission = new Admission({ runId: RUN, keys: null });
  const admitted = { type: 'admit', name: 'w', host: 'h', key: null };
  assert.deepEqual(admission.greet('a', greeting(null), 0), admitted);
  refused(admission.greet('b', greeting(null, 'w', 'another'), 0), /another run/);
  refused(admission.prove('a', '00'.repeat(32), 0), /not asked/);
});

test('with keys, who proves its key is admitted under the key’s name, whatever it calls itself', () => {
  const admission = keyed();
  const challenge = challengeOf(admission.greet('a', greeting(worker), 0));
  const admitted = admission.prove('a', prove(worker, coordinator.publicKey, RUN, challenge), 1);
  const key = publicKeyText(worker.publicKey);
  assert.deepEqual(admitted, { type: 'admit', name: 'w (key gpu-1)', host: 'h', key });
});

test('an allowed worker that names another’s key is refused', () => {
  const names = new Map([worker, other].map((keys) => [hex(keys.publicKey), 'some']));
  const admission = keyed(names);
  const challenge = challengeOf(admission.greet('a', greeting(other), 0));
  refused(admission.prove('a', prove(worker, coordinator.publicKey, RUN, challenge), 1), /does not own/);
  refused(admission.prove('a', prove(other, coordinator.publicKey, RUN, challenge), 1), /not asked/);
});

test('a proof for one connection is none for another', () => {
  const admission = keyed();
  const first = challengeOf(admission.greet('a', greeting(worker), 0));
  const second = challengeOf(admission.greet('b', greeting(worker), 0));
  assert.notEqual(first, second);
  refused(admission.prove('b', prove(worker, coordinator.publicKey, RUN, first), 1), /does not own/);
});

test('without a key, with one that is not on the list, or no longer is, nobody is admitted', () => {
  const names = new Map([[hex(worker.publicKey), 'gpu-1']]);
  const admission = keyed(names);
  refused(admission.greet('a', greeting(null), 0), /allow-list/);
  refused(admission.greet('b', greeting(other), 0), /allow-list/);
  const challenge = challengeOf(admission.greet('c', greeting(worker), 0));
  names.clear();
  refused(admission.prove('c', prove(worker, coordinator.publicKey, RUN, challenge), 1), /does not own/);
});

test('a flood of greetings is bounded, those that do not go on are given up, and then others get in', () => {
  const admission = keyed();
  let accepted = 0;
  while (admission.greet(`flood-${accepted}`, greeting(worker), 0).type === 'challenge') accepted++;
  assert.ok(accepted <= 1000);
  const last = admission.greet('last', greeting(worker), 0);
  assert.ok(last.type === 'refuse' && last.outcome === 'lost', 'it may come back');
  assert.equal(admission.takeLate(10_000).length, 0);
  assert.equal(admission.takeLate(10_001).length, accepted);
  assert.equal(admission.greet('last', greeting(worker), 10_001).type, 'challenge');
  assert.equal(admission.takeLate(20_001).length, 0);
});

test('a worker that is welcome but never begins to work is given up, and one that did is not', () => {
  const admission = new Admission({ runId: RUN, keys: null });
  for (const peer of ['works', 'idles']) admission.greet(peer, greeting(null), 0);
  admission.forget('works');
  assert.deepEqual(admission.takeLate(600_001), ['idles']);
});

test('who greets twice on one connection is refused', () => {
  const admission = new Admission({ runId: RUN, keys: null });
  admission.greet('a', greeting(null), 0);
  refused(admission.greet('a', greeting(null), 1), /twice/);
});
