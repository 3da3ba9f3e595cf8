// What everybody who is here does: the list of workers that metrics, the terminal and the live page show.
import type { TrainingEvent, WorkerStatus } from '../metrics/events.js';
import type { ReductionTree } from '../protocol/tree.js';
import type { Lease } from './lease-book.js';
import type { Session } from './sessions.js';

const INTERVAL_MS = 1_000;

/** Reports at intervals, and whenever somebody comes or goes. */
export class StatusReports {
  private lastAt = -Infinity;

  /** @param now monotonic milliseconds */
  isDue(now: number): boolean {
    return now - this.lastAt >= INTERVAL_MS;
  }

  make(
    sessions: readonly Session[],
    leases: Iterable<Lease>,
    tree: ReductionTree,
    now: number,
  ): TrainingEvent[] {
    this.lastAt = now;
    const joining = sessions.filter(({ state }) => state === 'joining').length;
    return [
      { kind: 'workerStates', counts: { joining, ready: sessions.length - joining } },
      { kind: 'workers', workers: workerStatuses(sessions, leases, tree, now) },
    ];
  }
}

function workerStatuses(
  sessions: readonly Session[],
  leases: Iterable<Lease>,
  tree: ReductionTree,
  now: number,
): WorkerStatus[] {
  const held = new Map<string, WorkerStatus['leases'][number][]>(sessions.map(({ id }) => [id, []]));
  for (const { session, node, issuedAt } of leases) {
    held.get(session)?.push({ ...tree.range(node), seconds: (now - issuedAt) / 1000 });
  }
  return sessions.map(({ id, name, host, state, report, pace, lastHeard }) => ({
    session: id,
    name,
    host,
    state,
    phase: report.phase,
    phaseSeconds: report.phases,
    microBatches: report.microBatches,
    sentBytes: report.sentBytes,
    receivedBytes: report.receivedBytes,
    residentBytes: report.residentBytes,
    leases: held.get(id)!,
    microBatchesPerSecond: pace.speed ?? null,
    silentSeconds: (now - lastHeard) / 1000,
  }));
}
