// One evaluation of one version: its micro-batches, who computes which, and their results.
import type { BatchStats } from '../protocol/stats.js';
import { MAX_LEASES, UNKNOWN_LEASE_MS } from './sessions.js';

export class Evaluation {
  private waiting: number[];
  /** By session: its micro-batches, since when (ms), and whether another may try the same. */
  private readonly held = new Map<string, Map<number, { readonly since: number; expired: boolean }>>();
  private readonly finished: (BatchStats | undefined)[];
  private left: number;
  /** What the finished ones took together. */
  private finishedMs = 0;

  /** @param startedAt ms */
  constructor(
    batches: number,
    readonly startedAt: number,
  ) {
    this.waiting = Array.from({ length: batches }, (_, index) => index);
    this.finished = Array.from({ length: batches });
    this.left = batches;
  }

  get done(): boolean {
    return this.left === 0;
  }

  /** In the micro-batches' order, so that their sum does not depend on who was first. */
  get results(): BatchStats[] {
    return this.finished as BatchStats[];
  }

  /** Another micro-batch for a worker, if it has room and any waits. */
  take(session: string, now: number): number | undefined {
    const held = this.held.get(session) ?? new Map<number, { since: number; expired: boolean }>();
    if (held.size >= MAX_LEASES) return undefined;
    const index = this.waiting.find((waiting) => !held.has(waiting));
    if (index === undefined) return undefined;
    this.waiting = this.waiting.filter((waiting) => waiting !== index);
    this.held.set(session, held.set(index, { since: now, expired: false }));
    return index;
  }

  /** Lets others try what takes twice as long as those before it; whoever is first wins. */
  expire(now: number): void {
    const finished = this.finished.length - this.left;
    const deadlineMs = 2 * (finished > 0 ? this.finishedMs / finished : UNKNOWN_LEASE_MS);
    for (const held of this.held.values()) {
      for (const [index, lease] of held) {
        if (lease.expired || now - lease.since <= deadlineMs) continue;
        lease.expired = true;
        this.waiting.push(index);
      }
    }
  }

  /** Nothing, when the session does not hold the micro-batch: it was never given it, or another was faster. */
  finish(session: string, index: number, stats: BatchStats, now: number): void {
    if (!this.held.get(session)?.has(index)) return;
    const since: number[] = [];
    for (const held of this.held.values()) {
      const lease = held.get(index);
      if (lease) since.push(lease.since);
      held.delete(index);
    }
    this.waiting = this.waiting.filter((waiting) => waiting !== index);
    if (index >= this.finished.length || this.finished[index]) return;
    this.finished[index] = stats;
    this.finishedMs += now - Math.max(this.startedAt, ...since);
    this.left--;
  }

  /** The session ended: what it held waits again. */
  release(session: string): void {
    const held = [...(this.held.get(session) ?? [])];
    this.held.delete(session);
    const lost = held.filter(([, { expired }]) => !expired).map(([index]) => index);
    this.waiting.unshift(...lost.sort((a, b) => a - b));
  }
}
