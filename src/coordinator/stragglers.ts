// Which lease is worth computing a second time while its worker is still at it: the one expected last, if idle workers
// would be done with it sooner. Near a step's end this bounds what one slow worker costs.
import type { Lease, LeaseBook } from './lease-book.js';
import type { Session, Sessions } from './sessions.js';

/**
 * @param idle workers that have nothing to compute, fastest first
 * @param coveredAt when anything was covered last
 */
export function straggler(
  book: LeaseBook,
  idle: readonly Session[],
  sessions: Pick<Sessions, 'expectedMs'>,
  now: number,
  coveredAt: number,
): Lease | undefined {
  // Nobody is done sooner than the fastest with one micro-batch: what is there by then is left out early.
  const leastMs = idle[0] ? sessions.expectedMs(idle[0].id, 1) : Infinity;
  const candidates = [...book.leased]
    .filter((lease) => !lease.expired && !lease.audit)
    .map((lease) => {
      const { computed } = lease;
      // A gradient waits for its turn as long as others arrive: computed again it would wait, too. When none arrives any
      // more, it is believed to take as long again.
      const waitMs = computed && now - Math.max(computed.at, coveredAt);
      return { lease, remainingMs: waitMs ?? remainingMs(lease, book, sessions, now) };
    })
    .filter(({ remainingMs }) => remainingMs > leastMs)
    .sort((a, b) => b.remainingMs - a.remainingMs);
  const found = candidates.find(({ lease, remainingMs }) => {
    const helpers = idle.filter(({ id }) => id !== lease.session);
    const [fastest] = helpers;
    if (!fastest) return false;
    return sessions.expectedMs(fastest.id, Math.ceil(book.sizeOf(lease) / helpers.length)) < remainingMs;
  });
  return found?.lease;
}

/** A lease that is overdue is believed to take as long again as it is overdue; one ahead waits for the one before it. */
function remainingMs(
  lease: Lease,
  book: LeaseBook,
  sessions: Pick<Sessions, 'expectedMs'>,
  now: number,
): number {
  const expectedMs = sessions.expectedMs(lease.session, book.sizeOf(lease));
  if (lease.startedAt !== undefined) return Math.abs(expectedMs - (now - lease.startedAt));
  const held = book.of(lease.session);
  const before = held.slice(0, held.indexOf(lease)).findLast(({ computed }) => !computed);
  return expectedMs + (before ? remainingMs(before, book, sessions, now) : 0);
}
