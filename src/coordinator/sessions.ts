// Who is here: one session per worker process's stay, and when it was last heard of.
import type { PhaseSeconds, WorkerPhase } from '../protocol/messages.js';

export interface Session {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  /** Greeted, but not attached to the reducers yet; or computing. */
  state: 'joining' | 'ready';
  lastHeard: number; // ms
  /** Micro-batches per second, lately; undefined before the first lease is computed. */
  speed: number | undefined;
  /** What its last heartbeat said it does, and how many seconds it did what. */
  phase: WorkerPhase | null;
  phaseSeconds: PhaseSeconds;
}

/** Weight of the newest lease in a worker's speed. */
const SPEED_SMOOTHING = 0.3;

export class Sessions {
  private readonly sessions = new Map<string, Session>();
  /** The ready sessions and the sum of their speeds, as long as nothing changed: a decision asks for them often. */
  private summary:
    { readonly ready: readonly Session[]; readonly average: number; readonly speed: number } | undefined;

  add(id: string, name: string, host: string, now: number): void {
    this.sessions.set(id, {
      id,
      name,
      host,
      state: 'joining',
      lastHeard: now,
      speed: undefined,
      phase: null,
      phaseSeconds: { compute: 0, push: 0, pull: 0, idle: 0 },
    });
    this.summary = undefined;
  }

  get(id: string): Session | undefined {
    return this.sessions.get(id);
  }

  remove(id: string): Session | undefined {
    const session = this.sessions.get(id);
    this.sessions.delete(id);
    this.summary = undefined;
    return session;
  }

  /** The session is attached to the reducers and may be given work. */
  admit(session: Session): void {
    session.state = 'ready';
    this.summary = undefined;
  }

  /** Notes a sign of life, and what the worker says it does; undefined when it is not here. */
  beat(
    { session: id, phase, phases }: { session: string; phase: WorkerPhase; phases: PhaseSeconds },
    now: number,
  ): Session | undefined {
    const session = this.sessions.get(id);
    return session && Object.assign(session, { lastHeard: now, phase, phaseSeconds: phases });
  }

  /** Notes how long a worker computed on some micro-batches. */
  computed(id: string, microBatches: number, seconds: number): void {
    const session = this.sessions.get(id);
    if (!session || seconds <= 0) return;
    const speed = microBatches / seconds;
    session.speed =
      session.speed === undefined ? speed : session.speed + SPEED_SMOOTHING * (speed - session.speed);
    this.summary = undefined;
  }

  /** A worker's speed as a part of all ready workers'; one whose speed is not known yet counts as average. */
  share(id: string): number {
    const { average, speed } = this.summarize();
    return (this.sessions.get(id)?.speed ?? average) / speed;
  }

  all(): Session[] {
    return [...this.sessions.values()];
  }

  ready(): readonly Session[] {
    return this.summarize().ready;
  }

  private summarize(): NonNullable<typeof this.summary> {
    if (this.summary) return this.summary;
    const ready = this.all().filter((session) => session.state === 'ready');
    const known = ready.flatMap(({ speed }) => speed ?? []);
    const average = known.length > 0 ? known.reduce((sum, speed) => sum + speed, 0) / known.length : 1;
    const speed = ready.reduce((sum, session) => sum + (session.speed ?? average), 0);
    return (this.summary = { ready, average, speed });
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
