// Which workers may connect: public keys in a file, or in the .pub files of a directory. It is read again while
// the process runs, so that a worker is added or removed without a restart.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { UserError, messageOf } from '../util/errors.js';
import { readPublicKeys, type NamedKey } from './key-files.js';
import type { PublicKey } from './keys.js';

/** However many connect at once, the files are read this often. */
const MAX_AGE_MS = 200;

export class AllowList {
  private names = new Map<string, string>();
  private readAt = 0;

  /**
   * @param source a file or a directory; it must be readable now
   * @param own keys that are allowed whatever the source says
   * @param onError told once when the source cannot be read any more; nobody new is allowed then
   */
  constructor(
    private readonly source: string,
    private readonly own: readonly NamedKey[],
    private readonly onError: (message: string) => void,
  ) {
    const read = readSource(source);
    if (read.length === 0 && own.length === 0) {
      throw new UserError(
        'KEY_MISSING',
        `${source}: expected the public key of at least one worker, got none`,
      );
    }
    this.use(read);
  }

  /** The name of a key's owner; undefined when it is not on the list. */
  nameOf(key: PublicKey): string | undefined {
    if (performance.now() - this.readAt > MAX_AGE_MS) this.refresh();
    return this.names.get(textOf(key));
  }

  private refresh(): void {
    try {
      this.use(readSource(this.source));
    } catch (error) {
      if (this.names.size > this.own.length) this.onError(`no worker can join: ${messageOf(error)}`);
      this.use([]);
    }
  }

  private use(keys: readonly NamedKey[]): void {
    this.readAt = performance.now();
    this.names = new Map([...keys, ...this.own].map(({ key, name }) => [textOf(key), name]));
  }
}

function readSource(source: string): NamedKey[] {
  if (!isDirectory(source)) return readPublicKeys(source);
  const files = readdirSync(source).filter((name) => name.endsWith('.pub'));
  return files.sort().flatMap((name) => readPublicKeys(path.join(source, name)));
}

function isDirectory(source: string): boolean {
  try {
    return statSync(source).isDirectory();
  } catch {
    return false; // reading it as a file says why
  }
}

function textOf(key: PublicKey): string {
  return Buffer.from(key).toString('hex');
}
