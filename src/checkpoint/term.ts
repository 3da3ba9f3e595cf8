// Terms: every incarnation of a run's coordinator takes the next number by creating terms/NNNNNN.json exclusively, so
// no two share one. An owner that is alive, or cannot be shown not to be, keeps others out.

import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { publishFile } from './files.js';
import { liveness, ownerSchema, thisOwner, type Owner } from './owner.js';

const termSchema = z.object({ term: z.int().positive(), owner: ownerSchema });
const NAME = /^(\d{6,15})\.(json|released)$/;

export interface Term {
  /** 1 for a run's first owner, then rising. */
  readonly term: number;
  /** An earlier owner could not be shown to have ended: whatever it still writes must not meet what this one writes. */
  readonly contested: boolean;
  /** Says that this owner is gone for good. Without it, the death of the process says so. */
  readonly release: () => Promise<void>;
}

export interface AcquireOptions {
  /** Take the run from an owner on another machine or container, whose end the user vouches for. */
  readonly takeOver: boolean;
}

function fileOf(directory: string, term: number, kind: 'json' | 'released'): string {
  return path.join(directory, `${String(term).padStart(6, '0')}.${kind}`);
}

interface Terms {
  /** Numbers ever taken, ascending. */
  readonly taken: readonly number[];
  readonly released: ReadonlySet<number>;
}

async function readTerms(directory: string): Promise<Terms> {
  const taken: number[] = [];
  const released = new Set<number>();
  for (const name of await readdir(directory)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    if (match[2] === 'json') taken.push(Number(match[1]));
    else released.add(Number(match[1]));
  }
  return { taken: taken.sort((a, b) => a - b), released };
}

/** Who took a term; null when the file cannot be understood. */
async function readOwner(file: string): Promise<Owner | null> {
  const text = await readFile(file, 'utf8');
  try {
    return termSchema.parse(JSON.parse(text)).owner;
  } catch {
    return null;
  }
}

function inUse(directory: string, term: number, owner: Owner): UserError {
  return new UserError(
    'RUN_IN_USE',
    `the run ${path.dirname(directory)} is in use by process ${owner.pid} on this machine (term ${term}): ` +
      'stop it first, or choose another run directory',
  );
}

function inUseElsewhere(directory: string, term: number, owner: Owner | null): UserError {
  const who = owner === null ? 'an owner that left no name' : `process ${owner.pid} on ${owner.host}`;
  return new UserError(
    'RUN_IN_USE_ELSEWHERE',
    `the run ${path.dirname(directory)} was last used by ${who} (term ${term}), and whether that still runs cannot be ` +
      'seen from here: make sure that it does not, then take the run over explicitly',
  );
}

/**
 * Checks the owners of `taken` terms that were not released. Throws when one is alive, or when the newest cannot be
 * judged and is not taken over. Returns whether any of them could not be judged.
 */
async function checkOwners(
  directory: string,
  terms: Terms,
  self: Owner,
  options: AcquireOptions,
): Promise<boolean> {
  let contested = false;
  for (const term of terms.taken.filter((number) => !terms.released.has(number))) {
    const owner = await readOwner(fileOf(directory, term, 'json'));
    const state = owner === null ? 'unknown' : await liveness(owner, self);
    if (state === 'alive') throw inUse(directory, term, owner!);
    if (state === 'dead') continue;
    if (term === terms.taken.at(-1) && !options.takeOver) throw inUseElsewhere(directory, term, owner);
    contested = true;
  }
  return contested;
}

/**
 * Takes the next term of the run whose terms are in `directory` (created when missing). Throws UserError RUN_IN_USE when
 * an owner runs on this machine, RUN_IN_USE_ELSEWHERE when the last owner is another machine's and `takeOver` is not set.
 */
export async function acquireTerm(directory: string, options: AcquireOptions): Promise<Term> {
  await mkdir(directory, { recursive: true });
  const self = await thisOwner();
  for (;;) {
    // The number follows from the very list that was checked: whoever takes one meanwhile makes the creation fail.
    const terms = await readTerms(directory);
    const contested = await checkOwners(directory, terms, self, options);
    const term = (terms.taken.at(-1) ?? 0) + 1;
    const text = jsonText({ term, owner: self });
    if (!(await publishFile(fileOf(directory, term, 'json'), text))) continue;
    const released = fileOf(directory, term, 'released');
    return { term, contested, release: () => writeFile(released, '') };
  }
}
