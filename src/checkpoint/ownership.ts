// Who owns a run, as one look at its storage tells: nothing is taken, and no period is watched.

import type { Folder } from './folder.js';
import { liveness, thisOwner, type Liveness, type Owner } from './owner.js';
import { TermsFolder } from './terms-folder.js';

export interface Ownership {
  /** The last term that was taken. */
  readonly term: number;
  /** `released`: its owner ended in order. Otherwise whether that process runs, as far as this machine can tell. */
  readonly state: 'released' | Liveness;
  /** null: it left no name that can be read. */
  readonly owner: Owner | null;
  /** How often it renewed its term; another number, a while later, says that it lives. null: never. */
  readonly renewals: number | null;
}

/** null: nobody ever took the run. */
export async function ownershipOf(run: Folder): Promise<Ownership | null> {
  const terms = new TermsFolder(run);
  const { taken, released } = await terms.list();
  const term = taken.at(-1);
  if (term === undefined) return null;
  const [claim, renewal] = await Promise.all([terms.claimOf(term), terms.renewalOf(term)]);
  const owner = claim?.owner ?? null;
  const life = owner === null ? 'unknown' : await liveness(owner, await thisOwner());
  const state = released.has(term) ? 'released' : life;
  return { term, state, owner, renewals: /^\d+\n$/.test(renewal) ? Number(renewal) : null };
}
