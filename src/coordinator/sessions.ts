// Who is here: one session per worker process's stay, and when it was last heard of.

export interface Session {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  /** Greeted, but not attached to the reducers yet; or computing. */
  state: 'joining' | 'ready';
  lastHeard: number; // ms
  /** Micro-batches per second, lately; undefined before the first lease is computed. */
  speed: number | undefined;
}

/** Weight of the newest lease in a worker's speed. */
const SPEED_SMOOTHING = 0.3;

export class Sessions {
  private readonly sessions = new Map<string, Session>();

  add(id: string, name: string, host: string, now: number): void {
    this.sessions.set(id, {
      id,
      name,
      host,
      state: 'joining',
      lastHeard: now,
      speed: undefined,
    });
  }

  get(id: string): Session | undefined {
    return this.sessions.get(id);
  }

  remove(id: string): Session | undefined {
    const session = this.sessions.get(id);
    this.sessions.delete(id);
    return session;
  }

  /** Notes how long a worker computed on some micro-batches. */
  computed(id: string, microBatches: number, seconds: number): void {
    const session = this.sessions.get(id);
    if (!session || seconds <= 0) return;
    const speed = microBatches / seconds;
    session.speed =
      session.speed === undefined ? speed : session.speed + SPEED_SMOOTHING * (speed - session.speed);
  }

  /** A worker's speed as a part of all ready workers'; one whose speed is not known yet counts as average. */
  share(id: string): number {
    const known = this.ready().flatMap(({ speed }) => speed ?? []);
    const average = known.length > 0 ? known.reduce((sum, speed) => sum + speed, 0) / known.length : 1;
    const total = this.ready().reduce((sum, { speed }) => sum + (speed ?? average), 0);
    return (this.sessions.get(id)?.speed ?? average) / total;
  }

  all(): Session[] {
    return [...this.sessions.values()];
  }

  ready(): Session[] {
    return this.all().filter((session) => session.state === 'ready');
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
