// Which allowed key a worker has. CURVE lets only owners of allowed keys connect, but zeromq.js does not say whose
// a connection is: so a worker names its key, and proves it by an answer that only the two owners can compute.
import { hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { sharedSecret, type KeyPair, type PublicKey } from './keys.js';

const PURPOSE = 'lockstep: a worker proves its key to a coordinator';
const BYTES = 32;

/** What the answer must depend on: fresh for each connection, so no answer can be used again. */
export function newChallenge(): string {
  return randomBytes(BYTES).toString('hex');
}

interface Parties {
  readonly worker: PublicKey;
  readonly coordinator: PublicKey;
}

/** The worker's answer. */
export function prove(keys: KeyPair, coordinator: PublicKey, runId: string, challenge: string): string {
  const secret = sharedSecret(keys.secretKey, coordinator);
  return derive(secret, { worker: keys.publicKey, coordinator }, runId, challenge).toString('hex');
}

/** Whether the answer is that of the key's owner. */
export function verify(
  keys: KeyPair,
  worker: PublicKey,
  runId: string,
  challenge: string,
  proof: string,
): boolean {
  let secret: Uint8Array;
  try {
    secret = sharedSecret(keys.secretKey, worker);
  } catch {
    return false; // a public key with which everybody shares the same secret
  }
  const expected = derive(secret, { worker, coordinator: keys.publicKey }, runId, challenge);
  const given = Buffer.from(proof, 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** HKDF is a pseudo-random function of the secret: who cannot compute the secret cannot guess its value. */
function derive(
  secret: Uint8Array,
  { worker, coordinator }: Parties,
  runId: string,
  challenge: string,
): Buffer {
  const context = Buffer.concat([Buffer.from(PURPOSE), worker, coordinator, Buffer.from(runId)]);
  return Buffer.from(hkdfSync('sha256', secret, Buffer.from(challenge, 'hex'), context, BYTES));
}
