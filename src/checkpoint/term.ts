// Terms: every incarnation of a run's coordinator takes the next number by creating its file exclusively, so no two share
// one. An owner that renews its term keeps others out; one that does not is superseded, and finds out when it looks.

import { setTimeout as delay } from 'node:timers/promises';
import { UserError, messageOf } from '../util/errors.js';
import type { Folder } from './folder.js';
import { isAtWork, liveness, thisOwner, type Liveness, type Owner } from './owner.js';
import { TermsFolder, type Claim, type Renewal } from './terms-folder.js';

/** For an owner that does not say how it renews. */
const UNKNOWN_TIMEOUT_MS = 30_000;
/** Looks at an owner's counter within its timeout. */
const LOOKS = 20;

export interface AcquireOptions {
  readonly renewal: Renewal;
  /** Told, in a sentence, what is waited for and what went wrong without harm. */
  readonly onWarning: (message: string) => void;
}

/** A term that this process holds, until another takes the next. */
export interface Term {
  /** 1 for a run's first owner, then rising. */
  readonly number: number;
  /** An earlier owner could not be shown to have ended: whatever it still writes must not meet what this one writes. */
  readonly contested: boolean;
  /** Resolves with UserError RUN_SUPERSEDED when this process finds that a later term was taken. */
  readonly superseded: Promise<UserError>;
  /** Throws that error when a later term was taken. */
  check(): Promise<void>;
  /** Ends the renewals and says that this owner is gone for good. Without it, the silence of the process says so. */
  release(): Promise<void>;
}

/**
 * Takes the next term of the run that is stored in `run`. An owner that cannot be shown to be at work or to have ended is
 * watched first, for its whole timeout. Throws UserError RUN_IN_USE when it is at work on this machine, or renews its term.
 */
export async function acquireTerm(run: Folder, options: AcquireOptions): Promise<Term> {
  const terms = new TermsFolder(run);
  await terms.make();
  const self = await thisOwner();
  for (;;) {
    // The number follows from the very list that was judged: whoever takes it meanwhile makes the claim fail.
    const { taken, released } = await terms.list();
    const last = taken.at(-1) ?? 0;
    let contested = false;
    for (const term of taken.filter((one) => !released.has(one))) {
      const claim = await terms.claimOf(term);
      if (term === last) await awaitEnd(terms, run.url, term, claim, self, options);
      contested ||= (await livenessOf(claim, self)) !== 'dead' && !(await terms.isReleased(term));
    }
    if (await terms.claim(last + 1, self, options.renewal)) {
      return new HeldTerm(terms, run.url, last + 1, contested, options);
    }
  }
}

async function livenessOf(claim: Claim | null, self: Owner): Promise<Liveness> {
  return claim === null ? 'unknown' : liveness(claim.owner, self);
}

/**
 * Returns when the term is free: its owner is dead, has released it, is no longer the last, or did not renew it for a whole
 * timeout. Throws UserError RUN_IN_USE when the owner is at work on this machine, or renews it.
 */
async function awaitEnd(
  terms: TermsFolder,
  run: string,
  term: number,
  claim: Claim | null,
  self: Owner,
  options: AcquireOptions,
): Promise<void> {
  const timeoutMs = claim?.renewal.timeoutMs ?? UNKNOWN_TIMEOUT_MS;
  const pollMs = timeoutMs / LOOKS;
  const isOver = async (): Promise<boolean> =>
    (await livenessOf(claim, self)) === 'dead' ||
    (await terms.isReleased(term)) ||
    (await terms.isTaken(term + 1));
  if (await isOver()) return;
  const owner = claim ? `process ${claim.owner.pid} on ${claim.owner.host}` : 'an owner that left no name';
  if (claim && (await isAtWork(claim.owner, self))) throw inUse(run, term, owner);
  const renewal = await terms.renewalOf(term);
  options.onWarning(
    `${run} was last used by ${owner}: watching for up to ${timeoutMs / 1000} s whether it still is`,
  );
  let watchedMs = 0;
  for (let before = performance.now(); watchedMs < timeoutMs;) {
    await delay(pollMs);
    if ((await terms.renewalOf(term)) !== renewal) throw inUse(run, term, owner);
    if (await isOver()) return;
    const now = performance.now();
    // A machine that stood still may have stopped the owner as well: that time does not count.
    watchedMs += Math.min(now - before, 2 * pollMs);
    before = now;
  }
  options.onWarning(`${owner} has not renewed its term for ${timeoutMs / 1000} s: taking the run over`);
}

function inUse(run: string, term: number, owner: string): UserError {
  return new UserError(
    'RUN_IN_USE',
    `the run ${run} is in use by ${owner} (term ${term}): stop it first, or choose another run`,
  );
}

class HeldTerm implements Term {
  readonly superseded: Promise<UserError>;
  private readonly ending = new AbortController();
  private readonly renewing: Promise<void>;
  private found!: (error: UserError) => void;

  constructor(
    private readonly terms: TermsFolder,
    private readonly run: string,
    readonly number: number,
    readonly contested: boolean,
    private readonly options: AcquireOptions,
  ) {
    this.superseded = new Promise((resolve) => (this.found = resolve));
    this.renewing = this.renew();
  }

  async check(): Promise<void> {
    if (!(await this.terms.isTaken(this.number + 1))) return;
    const error = new UserError(
      'RUN_SUPERSEDED',
      `the run ${this.run} was taken over by another coordinator (term ${this.number + 1}) while this one (term ${this.number}) ` +
        'did not renew its own: it goes on there, and nothing that this one does counts any more',
    );
    this.found(error);
    throw error;
  }

  async release(): Promise<void> {
    this.ending.abort();
    await this.renewing;
    await this.terms.release(this.number).catch((error: unknown) => this.warn(error));
  }

  /** Storage that cannot be reached stops no training: the term is renewed when it can be. */
  private async renew(): Promise<void> {
    const { signal } = this.ending;
    for (let counter = 1; !signal.aborted; counter++) {
      try {
        await this.terms.renew(this.number, counter);
        await this.check();
      } catch (error) {
        if (error instanceof UserError && error.code === 'RUN_SUPERSEDED') return;
        this.warn(error);
      }
      const { intervalMs } = this.options.renewal;
      await delay(intervalMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  private warn(error: unknown): void {
    this.options.onWarning(`the term of ${this.run} could not be renewed: ${messageOf(error)}`);
  }
}
