// Keys of parties that meet over a network: X25519 key pairs, what ZeroMQ's CURVE uses. How they are written down
// is decided here: one word that says which half it is, without characters that a shell or YAML would read otherwise.
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { UserError } from '../util/errors.js';

const KEY_BYTES = 32;

/** 32 bytes. */
export type PublicKey = Uint8Array;

export interface KeyPair {
  readonly publicKey: PublicKey;
  readonly secretKey: Uint8Array; // 32 bytes
}

/** What a coordinator's sockets need: its own key, and the name under which the process's gate knows its allow-list. */
export interface ServerSecurity {
  readonly secretKey: Uint8Array;
  readonly domain: string;
}

/** What a worker's sockets need: its own keys, and the only coordinator it talks to. */
export interface ClientSecurity {
  readonly keys: KeyPair;
  readonly coordinator: PublicKey;
}

export function generateKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('x25519');
  const { d } = privateKey.export({ format: 'jwk' });
  return keyPairOf(Buffer.from(d!, 'base64url'));
}

/** A secret key determines its public key. */
export function keyPairOf(secretKey: Uint8Array): KeyPair {
  const { x } = createPublicKey(privateKeyObject(secretKey)).export({ format: 'jwk' });
  return { publicKey: Buffer.from(x!, 'base64url'), secretKey };
}

/** What only the two owners can compute. Throws for the few public keys with which everybody could. */
export function sharedSecret(secretKey: Uint8Array, publicKey: PublicKey): Uint8Array {
  const x = Buffer.from(publicKey).toString('base64url');
  const other = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
  return diffieHellman({ privateKey: privateKeyObject(secretKey), publicKey: other });
}

/** RFC 8410: the bytes that stand before the 32 of an X25519 key in PKCS #8. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

function privateKeyObject(secretKey: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secretKey]), format: 'der', type: 'pkcs8' });
}

// ---- as text

const FORMS = { public: /^lockstep-public-([\w-]{43})$/, secret: /^lockstep-secret-([\w-]{43})$/ } as const;

export function publicKeyText(key: PublicKey): string {
  return `lockstep-public-${Buffer.from(key).toString('base64url')}`;
}

export function secretKeyText(key: Uint8Array): string {
  return `lockstep-secret-${Buffer.from(key).toString('base64url')}`;
}

/** @param where of which file and line the word is, for the message */
export function parseKey(half: keyof typeof FORMS, word: string, where: string): Uint8Array {
  const bytes = Buffer.from(FORMS[half].exec(word)?.[1] ?? '', 'base64url');
  if (bytes.length === KEY_BYTES) return bytes;
  const other = half === 'public' ? 'secret' : 'public';
  const got = FORMS[other].test(word) ? `a ${other} key` : 'something else'; // never its text: it may be a secret
  throw new UserError(
    'KEY_INVALID',
    `${where}: expected a ${half} key, "lockstep-${half}-" and 43 letters (npx lockstep keygen makes them), got ${got}`,
  );
}

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** A key as ZeroMQ wants it: ZeroMQ's RFC 32, five characters for four bytes. */
export function z85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const value = view.getUint32(offset);
    for (const unit of [85 ** 4, 85 ** 3, 85 ** 2, 85, 1]) text += Z85[Math.floor(value / unit) % 85];
  }
  return text;
}
