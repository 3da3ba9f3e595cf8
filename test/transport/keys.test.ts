// Keys: what is written is what is read, and what is no key, or not kept as one, is refused with a sentence.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { curveKeyPair } from 'zeromq';
import { AllowList } from '../../src/transport/allow-list.js';
import { readKeyPair, readPublicKey, readPublicKeys, writeKeyPair } from '../../src/transport/key-files.js';
import {
  generateKeyPair,
  keyPairOf,
  publicKeyText,
  secretKeyText,
  sharedSecret,
  z85,
} from '../../src/transport/keys.js';
import { newChallenge, prove, verify } from '../../src/transport/proof.js';
import { UserError } from '../../src/util/errors.js';
import { withoutRoot } from '../support/root.js';

let folder = '';
before(() => void (folder = mkdtempSync(path.join(tmpdir(), 'lockstep-keys-test-'))));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string, mode = 0o600): string {
  const file = path.join(folder, name);
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}

function refuses(code: string, body: () => unknown, pattern = /./): void {
  assert.throws(body, (error) => {
    assert.ok(error instanceof UserError && error.code === code, String(error));
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /lockstep-secret-\w/, 'a secret key is shown');
    return true;
  });
}

test('a key pair that was written is read again, and its secret file is its owner’s alone', async () => {
  const { secretFile, publicFile } = await writeKeyPair(path.join(folder, 'made'), 'gpu-1');
  const keys = readKeyPair(secretFile);
  assert.deepEqual(Buffer.from(readPublicKey(publicFile)), Buffer.from(keys.publicKey));
  assert.equal(statSync(secretFile).mode & 0o777, 0o600);
  assert.equal(readPublicKeys(publicFile)[0]?.name, 'gpu-1');
  await assert.rejects(writeKeyPair(path.join(folder, 'made'), 'gpu-1'), /never overwritten/);
});

test('keys are those of ZeroMQ: it derives the same public key from a secret one, and writes it the same', () => {
  const theirs = curveKeyPair();
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';
  const secret = Buffer.alloc(32);
  for (let i = 0; i < 8; i++) {
    const digits = [...theirs.secretKey.slice(i * 5, i * 5 + 5)].map((digit) => alphabet.indexOf(digit));
    secret.writeUInt32BE(
      digits.reduce((value, digit) => value * 85 + digit, 0),
      i * 4,
    );
  }
  assert.equal(z85(secret), theirs.secretKey);
  assert.equal(z85(keyPairOf(secret).publicKey), theirs.publicKey);
});

test('a secret key that others can read or write is refused, and what to do is said', () => {
  for (const mode of [0o604, 0o644, 0o620, 0o660, 0o601]) {
    const file = write('exposed.key', secretKeyText(generateKeyPair().secretKey), mode);
    refuses('KEY_EXPOSED', () => readKeyPair(file), /chmod 600/);
  }
});

test(
  'a secret key of root that its group can read is accepted only as it is mounted by Kubernetes',
  { skip: withoutRoot('to have a file of root') },
  () => {
    const text = secretKeyText(generateKeyPair().secretKey);
    for (const mode of [0o400, 0o440, 0o600, 0o640]) readKeyPair(write('mounted.key', text, mode));
    refuses('KEY_EXPOSED', () => readKeyPair(write('mounted.key', text, 0o444)), /defaultMode 0440/);
  },
);

test('what is no key is refused with a sentence that tells what it is', () => {
  const { publicKey, secretKey } = generateKeyPair();
  refuses('KEY_INVALID', () => readKeyPair(write('a', publicKeyText(publicKey))), /got a public key/);
  refuses('KEY_INVALID', () => readPublicKey(write('b', secretKeyText(secretKey))), /got a secret key/);
  refuses('KEY_INVALID', () => readKeyPair(write('c', '')), /expected one key, got 0/);
  refuses('KEY_INVALID', () => readKeyPair(write('d', 'x'.repeat(300))), /got something else/);
  refuses(
    'KEY_INVALID',
    () => readPublicKeys(write('e', `\n# a remark\nlockstep-public-short`)),
    /e:3: expected/,
  );
  refuses('KEY_INVALID', () => readKeyPair(write('f', secretKeyText(secretKey).slice(0, -1))));
  refuses('KEY_INVALID', () => readKeyPair(write('g', 'x'.repeat(2 ** 20 + 1))), /at most/);
  refuses('KEY_INVALID', () => readKeyPair('/dev/null'), /expected a file/);
  refuses('KEY_UNREADABLE', () => readKeyPair(path.join(folder, 'none')), /ENOENT/);
});

test('an allow-list is a file or the .pub files of a directory, and follows what is written there', async () => {
  const [one, two] = [generateKeyPair().publicKey, generateKeyPair().publicKey];
  const directory = path.join(folder, 'allowed');
  await writeKeyPair(directory, 'first');
  const errors: string[] = [];
  const list = new AllowList(directory, [], (message) => errors.push(message));
  assert.equal(list.nameOf(readPublicKey(path.join(directory, 'first.pub'))), 'first');
  assert.equal(list.nameOf(one), undefined);
  const changed = async (key: Uint8Array, wanted: string | undefined): Promise<void> => {
    while (list.nameOf(key) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  writeFileSync(path.join(directory, 'more.pub'), `${publicKeyText(one)} eins\n${publicKeyText(two)}\n`);
  await changed(one, 'eins');
  assert.equal(list.nameOf(two), 'more');
  rmSync(directory, { recursive: true });
  await changed(one, undefined);
  assert.equal(errors.length, 1);
  refuses('KEY_UNREADABLE', () => new AllowList(directory, [], () => undefined));
});

test('a proof is accepted from the key’s owner alone, for one run and one challenge', () => {
  const [coordinator, worker, other] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
  const challenge = newChallenge();
  const proof = prove(worker, coordinator.publicKey, 'run', challenge);
  const check = (owner = worker.publicKey, run = 'run', asked = challenge, given = proof): boolean =>
    verify(coordinator, owner, run, asked, given);
  assert.ok(check());
  assert.ok(!check(other.publicKey));
  assert.ok(!check(worker.publicKey, 'another run'));
  assert.ok(!check(worker.publicKey, 'run', newChallenge()));
  assert.ok(
    !check(worker.publicKey, 'run', challenge, prove(other, coordinator.publicKey, 'run', challenge)),
  );
  assert.ok(!check(worker.publicKey, 'run', challenge, ''));
});

test('a public key with which everybody shares the same secret proves nothing', () => {
  const coordinator = generateKeyPair();
  const zero = new Uint8Array(32);
  assert.throws(() => sharedSecret(coordinator.secretKey, zero));
  assert.equal(verify(coordinator, zero, 'run', newChallenge(), '00'.repeat(32)), false);
});
