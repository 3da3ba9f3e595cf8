// Keys for the workers that `train` starts itself where its coordinator wants keys: made for the run, known to nobody
// else, in a directory that goes with it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readKeyPair, readPublicKeys, writeKeyPair, type NamedKey } from '../transport/key-files.js';
import { publicKeyText } from '../transport/keys.js';

export interface LocalKeys {
  readonly allowed: readonly NamedKey[];
  /** What `lockstep worker` has to be called with. */
  readonly workerArguments: readonly string[];
  remove(): void;
}

/** @param coordinatorFile the coordinator's secret key */
export async function makeLocalKeys(coordinatorFile: string): Promise<LocalKeys> {
  const coordinator = readKeyPair(coordinatorFile);
  const directory = mkdtempSync(path.join(tmpdir(), 'lockstep-keys-'));
  const { secretFile, publicFile } = await writeKeyPair(directory, 'local');
  const coordinatorKey = path.join(directory, 'coordinator.pub');
  writeFileSync(coordinatorKey, `${publicKeyText(coordinator.publicKey)} coordinator\n`);
  return {
    allowed: readPublicKeys(publicFile),
    workerArguments: ['--key', secretFile, '--coordinator-key', coordinatorKey],
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
