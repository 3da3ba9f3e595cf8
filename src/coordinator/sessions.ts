// Who is here: one session per worker process's stay, when it was last heard of, and how fast it is.
import { NOTHING_DONE, type WorkerPhase, type WorkerReport } from '../protocol/messages.js';
import { afterComputing, afterCovering, afterLosing, UNKNOWN_PACE, type Pace } from './pace.js';

/** Who a worker is. */
export interface WorkerIdentity {
  /** It says which key's owner this is, where keys are used. */
  readonly name: string;
  readonly host: string;
  /** The public key that it has proved to own, as it is written down; null where keys are not used. */
  readonly key: string | null;
}

/** Which worker this is, whatever its session: its key, which it cannot change, or else the name that it gives itself. */
export function workerId(worker: WorkerIdentity): string {
  return worker.key ?? nameOf(worker);
}

/** By which the log, and a refusal, know a worker. */
export function nameOf({ name, host }: Pick<WorkerIdentity, 'name' | 'host'>): string {
  return `${name} on ${host}`;
}

export interface Session extends WorkerIdentity {
  readonly id: string;
  /** `joining`: greeted, and not attached to the reducers yet. */
  state: 'joining' | 'ready';
  /** What it computes with; null before it is ready. */
  fingerprint: string | null;
  lastHeard: number; // ms
  pace: Pace;
  /** What its last heartbeat said; before the first, no phase. */
  report: Omit<WorkerReport, 'phase'> & { readonly phase: WorkerPhase | null };
}

/** Leases that a worker holds at once: one computing and one ahead, or one computed and on its way. */
export const MAX_LEASES = 2;
/** What a lease is taken to last as long as nobody has computed one. */
export const UNKNOWN_LEASE_MS = 15_000;

/** The ready sessions, fastest first, and what their speeds come to. */
interface Summary {
  readonly ready: readonly Session[];
  /** Of those whose speed is known; undefined when none is. */
  readonly averageSpeed: number | undefined;
  /** What a lease takes beside computing, in the middle of all: what waits in a queue for others would wait for anybody. */
  readonly usualOverheadMs: number;
  /** The sum of all; those whose speed is not known count as average. */
  readonly speed: number;
}

export class Sessions {
  private readonly sessions = new Map<string, Session>();
  /** Kept as long as nothing changed: a decision asks for it often. */
  private summary: Summary | undefined;

  add(id: string, { name, host, key }: WorkerIdentity, now: number): void {
    this.sessions.set(id, {
      id,
      name,
      host,
      key,
      state: 'joining',
      fingerprint: null,
      lastHeard: now,
      pace: UNKNOWN_PACE,
      report: { ...NOTHING_DONE, phase: null },
    });
    this.summary = undefined;
  }

  get(id: string): Session | undefined {
    return this.sessions.get(id);
  }

  remove(id: string): void {
    this.sessions.delete(id);
    this.summary = undefined;
  }

  /** The session is attached to the reducers and may be given work. */
  admit(session: Session, fingerprint: string): void {
    session.state = 'ready';
    session.fingerprint = fingerprint;
    this.summary = undefined;
  }

  /** Notes a sign of life, and what the worker says it does; undefined when it is not here. */
  beat(id: string, report: WorkerReport, now: number): Session | undefined {
    const session = this.sessions.get(id);
    return session && Object.assign(session, { lastHeard: now, report });
  }

  /** Notes how long a worker computed on some micro-batches. */
  computed(id: string, microBatches: number, seconds: number): void {
    this.repace(id, (pace) => afterComputing(pace, microBatches, seconds));
  }

  /** Notes what a lease took beside being computed. */
  covered(id: string, overheadMs: number): void {
    this.repace(id, (pace) => afterCovering(pace, overheadMs));
  }

  /** Notes that a worker had not computed a lease after all that time. */
  lost(id: string, microBatches: number, seconds: number): void {
    this.repace(id, (pace) => afterLosing(pace, microBatches, seconds));
  }

  private repace(id: string, change: (pace: Pace) => Pace): void {
    const session = this.sessions.get(id);
    if (!session) return;
    session.pace = change(session.pace);
    this.summary = undefined;
  }

  /** A worker's speed as a part of all ready workers'; one whose speed is not known yet counts as average. */
  share(id: string): number {
    const { averageSpeed = 1, speed } = this.summarize();
    return (this.sessions.get(id)?.pace.speed ?? averageSpeed) / speed;
  }

  /** How long a worker is expected to take for a lease, until its gradient has arrived. */
  expectedMs(id: string, microBatches: number): number {
    const { averageSpeed, usualOverheadMs } = this.summarize();
    const speed = this.sessions.get(id)?.pace.speed ?? averageSpeed;
    if (speed === undefined) return UNKNOWN_LEASE_MS;
    return (microBatches / speed) * 1000 + usualOverheadMs;
  }

  all(): Session[] {
    return [...this.sessions.values()];
  }

  /** Those that may be given work, fastest first: what is left for the slow ones is less. */
  ready(): readonly Session[] {
    return this.summarize().ready;
  }

  private summarize(): Summary {
    if (this.summary) return this.summary;
    const ready = this.all().filter((session) => session.state === 'ready');
    const averageSpeed = mean(ready.flatMap(({ pace }) => pace.speed ?? []));
    const usualOverheadMs = middle(ready.flatMap(({ pace }) => pace.overheadMs ?? [])) ?? 0;
    const speedOf = ({ pace }: Session): number => pace.speed ?? averageSpeed ?? 1;
    const speed = ready.reduce((sum, session) => sum + speedOf(session), 0);
    ready.sort((a, b) => speedOf(b) - speedOf(a));
    return (this.summary = { ready, averageSpeed, usualOverheadMs, speed });
  }

  /** Sessions not heard of since `deadline`. */
  silentSince(deadline: number): Session[] {
    return this.all().filter((session) => session.lastHeard < deadline);
  }

  /** This process itself stood still: the silence was ours. */
  forgive(stalledMs: number): void {
    for (const session of this.sessions.values()) session.lastHeard += stalledMs;
  }
}

function mean(values: readonly number[]): number | undefined {
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
}

/** The middle value, the lower one of two. */
function middle(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1];
}
