// Where `prepare` writes: into a folder beside the one asked for, which takes its place when all is done. Whoever reads
// the folder sees an earlier data set or the new one, never a half-made one.

import { readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { hostname, homedir } from 'node:os';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { makeDirectories, makeDirectory } from '../util/directories.js';
import { UserError } from '../util/errors.js';
import { pathExists, processExists } from '../util/exists.js';
import { allFiles, MANIFEST_FILE, readManifest } from './manifest.js';

export interface OutputDirectory {
  /** The folder to write into. */
  readonly working: string;
  /** Puts it in the place of the folder asked for. True: the data set that was there, a different one, is gone. */
  publish(): Promise<boolean>;
  /** Removes it, after a failure. */
  discard(): Promise<void>;
}

/**
 * Checks that `directory` may be written and makes the folder to work in. It may be absent, empty or an earlier
 * `prepare`'s; anything else is replaced only with `force`. What holds an input, the working directory or the home
 * folder is never replaced.
 * @throws UserError OUT_NOT_EMPTY, OUT_IN_USE
 */
export async function openOutput(
  directory: string,
  inputs: readonly string[],
  force: boolean,
): Promise<OutputDirectory> {
  const target = resolve(directory);
  await checkReplaceable(target, inputs, force);
  const parent = dirname(target);
  await makeDirectories(parent);
  const prefix = `.${basename(target)}.partial-${hostname()}-`;
  await removeLeftovers(target, prefix);
  const working = join(parent, `${prefix}${process.pid}`);
  await makeDirectory(working);
  return {
    working,
    publish: async () => {
      const [before, now] = [await hashOfDataset(target), await hashOfDataset(working)];
      await replace(working, target);
      return before !== null && before !== now;
    },
    discard: () => rm(working, { recursive: true, force: true }),
  };
}

async function checkReplaceable(target: string, inputs: readonly string[], force: boolean): Promise<void> {
  const info = await stat(target).catch(() => null);
  if (info === null) return;
  if (!info.isDirectory())
    throw new UserError('OUT_NOT_EMPTY', `expected a folder at ${target}, found a file.`);
  const names = await readdir(target);
  if (names.length === 0) return;
  const real = await realpath(target);
  for (const precious of [...inputs, process.cwd(), homedir()]) {
    const path = await realpath(precious).catch(() => resolve(precious));
    if (path === real || path.startsWith(real + sep)) {
      throw new UserError(
        'OUT_IN_USE',
        `${target} would be replaced, but ${precious} is in it. Choose another folder.`,
      );
    }
  }
  if (force || (await isEarlierPrepare(target, names))) return;
  throw new UserError(
    'OUT_NOT_EMPTY',
    `${target} is not empty and not an earlier data set. Choose another folder, or replace it with all its files: --force`,
  );
}

/** By which runs know what they were trained on; null: there is no data set. */
async function hashOfDataset(directory: string): Promise<string | null> {
  return readManifest(directory).then(
    ({ sha256 }) => sha256,
    () => null,
  );
}

/** Whether a folder holds a data set and nothing else. */
async function isEarlierPrepare(directory: string, names: readonly string[]): Promise<boolean> {
  try {
    const { manifest } = await readManifest(directory);
    const ours = new Set([MANIFEST_FILE, ...allFiles(manifest).map((file) => file.file)]);
    return names.every((name) => ours.has(name));
  } catch {
    return false;
  }
}

/** Clears what killed processes of this machine have left; a data set that one had just moved aside goes back. */
async function removeLeftovers(target: string, prefix: string): Promise<void> {
  const parent = dirname(target);
  for (const name of await readdir(parent)) {
    const match = name.startsWith(prefix) ? /^(\d+)(-old)?$/.exec(name.slice(prefix.length)) : null;
    if (match === null || isAlive(Number(match[1]))) continue;
    const path = join(parent, name);
    if (match[2] !== undefined && !(await pathExists(target))) await rename(path, target);
    else await rm(path, { recursive: true, force: true });
  }
}

/** Whether another process has this id. Our own id can only be that of a predecessor. */
function isAlive(pid: number): boolean {
  return pid !== process.pid && processExists(pid);
}

async function replace(working: string, target: string): Promise<void> {
  const old = `${working}-old`;
  const existed = await rename(target, old).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  try {
    await rename(working, target);
  } catch (error) {
    if (existed) await rename(old, target);
    throw error;
  }
  if (existed) await rm(old, { recursive: true, force: true });
}
