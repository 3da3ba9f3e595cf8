// Terms: every incarnation of a run's coordinator takes the next number by creating terms/NNNNNN.json exclusively, so
// no two share one. An owner that is alive, or cannot be shown not to be, keeps others out.

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { readText, type Folder } from './folder.js';
import { liveness, ownerSchema, thisOwner, type Owner } from './owner.js';

const termSchema = z.object({ term: z.int().positive(), owner: ownerSchema });
const TERMS = 'terms';
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

function fileOf(term: number, kind: 'json' | 'released'): string {
  return `${String(term).padStart(6, '0')}.${kind}`;
}

interface Terms {
  /** Numbers ever taken, ascending. */
  readonly taken: readonly number[];
  readonly released: ReadonlySet<number>;
}

async function readTerms(terms: Folder): Promise<Terms> {
  const taken: number[] = [];
  const released = new Set<number>();
  for (const { name } of await terms.list()) {
    const match = NAME.exec(name);
    if (match === null) continue;
    if (match[2] === 'json') taken.push(Number(match[1]));
    else released.add(Number(match[1]));
  }
  return { taken: taken.sort((a, b) => a - b), released };
}

/** Who took a term; null when the file cannot be understood. */
async function readOwner(terms: Folder, term: number): Promise<Owner | null> {
  const text = await readText(terms, fileOf(term, 'json'));
  try {
    return termSchema.parse(JSON.parse(text ?? '')).owner;
  } catch {
    return null;
  }
}

function inUse(run: string, term: number, owner: Owner): UserError {
  return new UserError(
    'RUN_IN_USE',
    `the run ${run} is in use by process ${owner.pid} on this machine (term ${term}): ` +
      'stop it first, or choose another run directory',
  );
}

function inUseElsewhere(run: string, term: number, owner: Owner | null): UserError {
  const who = owner === null ? 'an owner that left no name' : `process ${owner.pid} on ${owner.host}`;
  return new UserError(
    'RUN_IN_USE_ELSEWHERE',
    `the run ${run} was last used by ${who} (term ${term}), and whether that still runs cannot be ` +
      'seen from here: make sure that it does not, then take the run over explicitly',
  );
}

/**
 * Checks the owners of `taken` terms that were not released. Throws when one is alive, or when the newest cannot be
 * judged and is not taken over. Returns whether any of them could not be judged.
 */
async function checkOwners(
  run: Folder,
  terms: Terms,
  self: Owner,
  options: AcquireOptions,
): Promise<boolean> {
  let contested = false;
  for (const term of terms.taken.filter((number) => !terms.released.has(number))) {
    const owner = await readOwner(run.at(TERMS), term);
    const state = owner === null ? 'unknown' : await liveness(owner, self);
    if (state === 'alive') throw inUse(run.url, term, owner!);
    if (state === 'dead') continue;
    if (term === terms.taken.at(-1) && !options.takeOver) throw inUseElsewhere(run.url, term, owner);
    contested = true;
  }
  return contested;
}

/**
 * Takes the next term of the run in `run`. Throws UserError RUN_IN_USE when
 * an owner runs on this machine, RUN_IN_USE_ELSEWHERE when the last owner is another machine's and `takeOver` is not set.
 */
export async function acquireTerm(run: Folder, options: AcquireOptions): Promise<Term> {
  const folder = run.at(TERMS);
  await folder.make();
  const self = await thisOwner();
  for (;;) {
    // The number follows from the very list that was checked: whoever takes one meanwhile makes the creation fail.
    const terms = await readTerms(folder);
    const contested = await checkOwners(run, terms, self, options);
    const term = (terms.taken.at(-1) ?? 0) + 1;
    const text = jsonText({ term, owner: self, nonce: randomUUID() });
    if (!(await folder.create(fileOf(term, 'json'), text))) continue;
    const release = async (): Promise<void> => {
      await folder.create(fileOf(term, 'released'), '');
    };
    return { term, contested, release };
  }
}
