// Who takes part: workers are greeted, admitted if they compute the run's bits, and gone when they leave or fall
// silent. What they hold is not its business: whoever leased it out is told when a session ends.
import type { LeaveReason } from '../metrics/events.js';
import { Standstill } from '../util/standstill.js';
import type { Decisions } from './decisions.js';
import type { CoordinatorEvent, CoordinatorOptions } from './events.js';
import { nameOf, workerId, type Session, type Sessions, type WorkerIdentity } from './sessions.js';

export interface MembershipHandlers {
  /** A session ends; it is still known. */
  ending(session: string): void;
  /** Somebody came or went. */
  changed(): void;
}

export class Membership {
  private readonly standstill: Standstill;
  /** Workers that computed wrongly: none of them is let in again. */
  private readonly expelled: Set<string>;
  /** Answered so far. */
  private heartbeats = 0;

  constructor(
    private readonly options: Pick<CoordinatorOptions, 'hardware' | 'heartbeat'>,
    private readonly sessions: Sessions,
    private readonly decisions: Decisions,
    /** What the run's workers compute with; null before the first of them. */
    public fingerprint: string | null,
    expelled: readonly string[],
    private readonly handlers: MembershipHandlers,
  ) {
    this.expelled = new Set(expelled);
    this.standstill = new Standstill(options.heartbeat);
  }

  get expelledWorkers(): readonly string[] {
    return [...this.expelled];
  }

  greet(id: string, worker: WorkerIdentity): void {
    this.sessions.add(id, worker, this.decisions.now);
    if (this.expelled.has(workerId(worker))) {
      return this.dismiss(
        id,
        'refused',
        'it was expelled from this run: an audit found that it computes wrongly',
      );
    }
    this.decisions.add({ type: 'welcome', session: id });
  }

  admit(id: string, fingerprint: string): void {
    const session = this.touch(id);
    if (!session) return;
    this.fingerprint ??= fingerprint;
    if (this.fingerprint !== fingerprint) {
      const difference = `${nameOf(session)} computes other bits: ${fingerprint}; the run's workers have ${this.fingerprint}`;
      if (this.options.hardware === 'strict') {
        return this.dismiss(id, 'refused', `${difference}. Set "hardware: relaxed" to allow it`);
      }
      this.decisions.log('warn', difference);
      this.decisions.publish({ kind: 'foreignWorker', ...identityOf(session) });
    }
    this.sessions.admit(session, fingerprint);
    this.decisions.publish({ kind: 'workerJoined', ...identityOf(session) });
    this.handlers.changed();
    this.decisions.log('info', `${nameOf(session)} joined`);
  }

  /** Notes that a worker was heard. */
  touch(id: string): Session | undefined {
    const session = this.sessions.get(id);
    if (session) session.lastHeard = this.decisions.now;
    return session;
  }

  heartbeat(event: CoordinatorEvent & { type: 'heartbeat' }): void {
    const { session, sequence, report } = event;
    if (!this.sessions.beat(session, report, this.decisions.now)) return;
    this.decisions.add({ type: 'heartbeat', session, sequence: ++this.heartbeats, echo: sequence });
  }

  /** Ends a session for what its worker did: it is told, and stays away. */
  dismiss(id: string, reason: LeaveReason, detail: string): void {
    this.decisions.add({ type: 'dismiss', session: id, reason: detail, outcome: 'refused' });
    this.end(id, reason, detail);
  }

  /** A worker computed wrongly: it goes, and stays away. */
  expel(id: string, detail: string): void {
    const session = this.sessions.get(id);
    if (!session) return;
    this.expelled.add(workerId(session));
    this.dismiss(id, 'expelled', detail);
  }

  end(id: string, reason: LeaveReason, detail: string): void {
    const session = this.sessions.get(id);
    if (!session) return;
    this.handlers.ending(id);
    this.sessions.remove(id);
    this.decisions.publish({ kind: 'workerLeft', ...identityOf(session), reason, detail });
    this.handlers.changed();
    // Whoever reads along is told by the event; a warning would show it twice.
    this.decisions.log('info', `${nameOf(session)} left: ${detail}`);
  }

  /** Ends the sessions of those not heard of for too long. */
  tick(): void {
    const { timeoutMs } = this.options.heartbeat;
    const { now } = this.decisions;
    this.sessions.forgive(this.standstill.tick(now));
    for (const { id } of this.sessions.silentSince(now - timeoutMs)) {
      const reason = `silent for ${timeoutMs} ms`;
      this.decisions.add({ type: 'dismiss', session: id, reason, outcome: 'lost' });
      this.end(id, 'silent', reason);
    }
  }

  /** The run is over, or stopped. */
  dismissAll(reason: string, outcome: 'finished' | 'stopped'): void {
    for (const { id } of this.sessions.all()) {
      this.decisions.add({ type: 'dismiss', session: id, reason, outcome });
    }
  }
}

function identityOf({ name: worker, host }: Session): { worker: string; host: string } {
  return { worker, host };
}
