// Which checkpoints to delete. Pure: the store applies it.

export interface RetentionPolicy {
  /** The newest n stay; at least 1. */
  readonly keepLast: number;
  /** The one with the lowest validation loss stays. */
  readonly keepBest: boolean;
  /** Those whose step is a multiple of it stay; null: none for that reason. */
  readonly keepEvery: number | null;
}

export interface RetentionEntry {
  readonly step: number;
  readonly term: number;
  readonly validationLoss: number | null;
}

/** Newest first: by step, and of one step the one of the newest term. */
export function newestFirst(a: RetentionEntry, b: RetentionEntry): number {
  return b.step - a.step || b.term - a.term;
}

/** The entry with the lowest validation loss, the newest of those that share it. */
function bestOf<T extends RetentionEntry>(sorted: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const entry of sorted) {
    if (entry.validationLoss === null) continue;
    if (best === undefined || entry.validationLoss < best.validationLoss!) best = entry;
  }
  return best;
}

/** Those of `entries` that no rule keeps, oldest first. Of several with one step only the newest term's can stay. */
export function toDelete<T extends RetentionEntry>(entries: readonly T[], policy: RetentionPolicy): T[] {
  const sorted = [...entries].sort(newestFirst);
  const current = sorted.filter((entry, index) => sorted[index - 1]?.step !== entry.step);
  const keep = new Set(current.slice(0, Math.max(1, policy.keepLast)));
  const best = policy.keepBest ? bestOf(current) : undefined;
  if (best !== undefined) keep.add(best);
  const { keepEvery } = policy;
  if (keepEvery !== null) {
    for (const entry of current) if (entry.step % keepEvery === 0) keep.add(entry);
  }
  return sorted.filter((entry) => !keep.has(entry)).reverse();
}
