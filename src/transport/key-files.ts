// Keys in files. A secret key is used only if nobody but its owner can read it; public keys may lie anywhere.
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync, type Stats } from 'node:fs';
import path from 'node:path';
import { makeDirectories, makeDirectory } from '../util/directories.js';
import { UserError, messageOf } from '../util/errors.js';
import { pathExists } from '../util/exists.js';
import {
  generateKeyPair,
  keyPairOf,
  parseKey,
  publicKeyText,
  secretKeyText,
  type KeyPair,
  type PublicKey,
} from './keys.js';

/** A key file holds a line or two, an allow-list a line for each worker. */
const MAX_BYTES = 2 ** 20;

/** A public key and what people call its owner. */
export interface NamedKey {
  readonly name: string;
  readonly key: PublicKey;
}

/** Makes a key pair: NAME.key, which its owner alone can read, and NAME.pub. */
export async function writeKeyPair(
  directory: string,
  name: string,
): Promise<{ secretFile: string; publicFile: string }> {
  const { publicKey, secretKey } = generateKeyPair();
  const secretFile = path.join(directory, `${name}.key`);
  const publicFile = path.join(directory, `${name}.pub`);
  await makeDirectories(path.dirname(directory));
  if (!(await pathExists(directory))) await makeDirectory(directory, 0o700);
  const remark = `# The secret key of ${name}: whoever has it is taken for it.`;
  create(secretFile, `${remark}\n${secretKeyText(secretKey)}\n`, 0o600);
  create(publicFile, `${publicKeyText(publicKey)} ${name}\n`, 0o644);
  return { secretFile, publicFile };
}

/** Reads a secret key and derives the public one. */
export function readKeyPair(file: string): KeyPair {
  const { text, stats } = readSmallFile(file);
  const secretKey = parseSecretKey(text, file);
  checkSecret(file, stats);
  return keyPairOf(secretKey);
}

/** Reads a file that holds one public key. */
export function readPublicKey(file: string): PublicKey {
  return parsePublicLine(file, onlyLine(file, linesOf(readSmallFile(file).text))).key;
}

/** Reads a file of public keys, one a line, each with a name after it if it has one. */
export function readPublicKeys(file: string): NamedKey[] {
  return parsePublicKeys(readSmallFile(file).text, file);
}

export function parseSecretKey(text: string, file: string): Uint8Array {
  return parseKey('secret', onlyLine(file, linesOf(text)).text, file);
}

export function parsePublicKeys(text: string, file: string): NamedKey[] {
  return linesOf(text).map((line) => parsePublicLine(file, line));
}

interface Line {
  readonly number: number;
  readonly text: string;
}

function parsePublicLine(file: string, { number, text }: Line): NamedKey {
  const [word = '', ...rest] = text.split(/\s+/);
  const key = parseKey('public', word, `${file}:${number}`);
  return { key, name: rest.join(' ') || path.basename(file, '.pub') };
}

function onlyLine(file: string, lines: readonly Line[]): Line {
  if (lines.length === 1) return lines[0]!;
  throw new UserError('KEY_INVALID', `${file}: expected one key, got ${lines.length}`);
}

/** Lines that hold something; a # begins a remark. */
function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .map((line, i) => ({ number: i + 1, text: line.trim() }))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'));
}

/** What was opened is what is read and judged, whatever the path names by then. */
function readSmallFile(file: string): { text: string; stats: Stats } {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO must not wait for a writer
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || stats.size > MAX_BYTES) {
      throw new UserError('KEY_INVALID', `${file}: expected a file with a key, at most ${MAX_BYTES} bytes`);
    }
    return { text: readFileSync(descriptor, 'utf8'), stats };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError('KEY_UNREADABLE', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * Only the owner may read it, and the owner is who runs this or root. A file of root may be readable by its group: so
 * Kubernetes mounts secrets for a process that is not root (mode 0440, `fsGroup`).
 */
function checkSecret(file: string, { mode, uid }: Stats): void {
  if (!process.geteuid) return; // no such permissions here
  if (uid !== 0 && uid !== process.geteuid()) {
    throw new UserError(
      'KEY_EXPOSED',
      `${file} belongs to another user (${uid}): chown it to the one who runs this`,
    );
  }
  const refused = uid === 0 ? 0o037 : 0o077;
  if ((mode & refused) === 0) return;
  const found = (mode & 0o777).toString(8).padStart(4, '0');
  throw new UserError(
    'KEY_EXPOSED',
    `${file} holds a secret key and others can read or write it (mode ${found}): chmod 600 ${file}` +
      `${uid === 0 ? ' (Kubernetes: defaultMode 0440 of the secret volume)' : ''}`,
  );
}

function create(file: string, text: string, mode: number): void {
  try {
    writeFileSync(file, text, { mode, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UserError(
      'KEY_EXISTS',
      `${file} exists, and a key is never overwritten: delete it, or choose another name`,
    );
  }
}
