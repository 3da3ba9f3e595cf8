// Which lease is worth computing a second time while its worker is still at it: the one expected last, if idle workers
// would be done with it sooner. Near a step's end this bounds what one slow worker costs.
import type { Lease, LeaseBook } from './lease-book.js';
import type { Session, Sessions } from './sessions.js';

/** @param idle workers that have nothing to compute, fastest first */
export function straggler(
  book: LeaseBook,
  idle: readonly Session[],
  sessions: Pick<Sessions, 'expectedMs'>,
  now: number,
): Lease | undefined {
  const candidates = [...book.leased]
    .filter((lease) => !lease.expired && !lease.audit)
    .map((lease) => ({ lease, remainingMs: remainingMs(lease, book, sessions, now) }))
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
