// One evaluation of one version: its micro-batches, who computes which, and their results.
import type { BatchStats } from '../protocol/stats.js';

/** Micro-batches a worker holds at once: one to compute, one ahead. */
const AHEAD = 2;

export class Evaluation {
  private readonly waiting: number[];
  private readonly held = new Map<string, Set<number>>();
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
  take(session: string): number | undefined {
    const held = this.held.get(session) ?? new Set();
    if (held.size >= AHEAD) return undefined;
    const index = this.waiting.shift();
    if (index === undefined) return undefined;
    this.held.set(session, held.add(index));
    return index;
  }

  finish(index: number, stats: BatchStats): void {
    for (const held of this.held.values()) held.delete(index);
    if (index >= this.finished.length || this.finished[index]) return;
    this.finished[index] = stats;
    this.left--;
  }

  /** The session ended: what it held waits again. */
  release(session: string): void {
    const held = this.held.get(session) ?? new Set();
    this.held.delete(session);
    this.waiting.unshift(...[...held].filter((index) => !this.finished[index]).sort((a, b) => a - b));
  }
}
