// One evaluation of one version: its micro-batches, who computes which, and their results.
import type { BatchStats } from '../protocol/stats.js';

/** Micro-batches a worker holds at once: one to compute, one ahead. */
const AHEAD = 2;

export class Evaluation {
  private waiting: number[];
  /** By session: its micro-batches, since when (ms), and whether another may try the same. */
  private readonly held = new Map<string, Map<number, { readonly since: number; expired: boolean }>>();
  private readonly finished: (BatchStats | undefined)[];
  private left: number;

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
    if (held.size >= AHEAD) return undefined;
    const index = this.waiting.find((waiting) => !held.has(waiting));
    if (index === undefined) return undefined;
    this.waiting = this.waiting.filter((waiting) => waiting !== index);
    this.held.set(session, held.set(index, { since: now, expired: false }));
    return index;
  }

  /** Lets others try what was taken before `deadline`; whoever is first wins. */
  expire(deadline: number): void {
    for (const held of this.held.values()) {
      for (const [index, lease] of held) {
        if (lease.expired || lease.since >= deadline) continue;
        lease.expired = true;
        this.waiting.push(index);
      }
    }
  }

  finish(index: number, stats: BatchStats): void {
    for (const held of this.held.values()) held.delete(index);
    this.waiting = this.waiting.filter((waiting) => waiting !== index);
    if (index >= this.finished.length || this.finished[index]) return;
    this.finished[index] = stats;
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
