// Where control messages arrive: each is decoded, and belongs to the session of its connection or to nobody. What
// greets is led through admission.ts; who has no session is told so once, and not heard again.
import type { Logger } from 'pino';
import type { MessageFault } from '../metrics/events.js';
import { isOfSession } from '../protocol/envelope.js';
import { ProtocolError } from '../protocol/frames.js';
import {
  decode,
  workerToCoordinator,
  type Received,
  type SessionOutcome,
  type WorkerToCoordinator,
} from '../protocol/messages.js';
import type { PeerId } from '../transport/router.js';
import { Admission, type AdmissionOptions, type Decision } from './admission.js';
import type { Connections } from './connections.js';
import type { WorkerIdentity } from './sessions.js';

/** What a worker says once it has a session. */
export type SessionMessage = Exclude<Received<WorkerToCoordinator>, { type: 'hello' | 'prove' }>;

export interface ReceptionHandlers {
  opened(session: string, worker: WorkerIdentity): void;
  message(session: string, message: SessionMessage): void;
  /** What its worker sent is not what the protocol allows. */
  fault(session: string, reason: string): void;
  /** A message was not taken. */
  rejected(fault: MessageFault): void;
  /** It has not begun to work for too long. */
  late(session: string): void;
}

export class Reception {
  private readonly admission: Admission;
  /** Connections without a session that have been told so. */
  private readonly turnedAway = new Set<PeerId>();

  constructor(
    private readonly connections: Connections,
    private readonly options: AdmissionOptions & { readonly term: number; readonly log: Logger },
    private readonly handlers: ReceptionHandlers,
  ) {
    this.admission = new Admission(options);
  }

  receive(peer: PeerId, frames: Uint8Array[]): void {
    if (this.turnedAway.has(peer)) return;
    const session = this.connections.sessionOf(peer);
    try {
      const message = decode(workerToCoordinator, frames);
      if (message.type === 'hello' || message.type === 'prove') this.admit(peer, session, message);
      else if (isOfSession(message, session, this.options.term)) {
        if (message.type === 'ready') this.admission.forget(peer);
        this.handlers.message(message.session, message);
      } else {
        this.handlers.rejected('stale');
        this.turnAway(peer, 'the session is over', 'lost');
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.handlers.rejected(error.fault);
      if (session === undefined) this.refuse(peer, error.message, 'refused');
      else this.handlers.fault(session, error.message);
    }
  }

  /** The connection is gone. Returns the session that this ends, if it had not ended before. */
  disconnected(peer: PeerId): string | undefined {
    this.turnedAway.delete(peer);
    this.admission.forget(peer);
    return this.connections.disconnected(peer);
  }

  tick(now: number): void {
    for (const peer of this.admission.takeLate(now)) {
      const session = this.connections.sessionOf(peer);
      if (session === undefined) this.refuse(peer, 'it did not prove its key in time', 'lost');
      else this.handlers.late(session);
    }
  }

  private admit(
    peer: PeerId,
    session: string | undefined,
    message: Received<WorkerToCoordinator> & { type: 'hello' | 'prove' },
  ): void {
    if (session !== undefined) throw new ProtocolError('it has a session already');
    const now = performance.now();
    const isHello = message.type === 'hello';
    const decision: Decision = isHello
      ? this.admission.greet(peer, message, now)
      : this.admission.prove(peer, message.proof, now);
    if (decision.type === 'challenge') this.connections.sendTo(peer, decision);
    else if (decision.type === 'refuse') {
      const who = isHello ? ` of ${message.name} on ${message.host}` : '';
      this.refuse(peer, decision.reason, decision.outcome, who);
    } else this.handlers.opened(this.connections.open(peer), decision);
  }

  /** @param who as it names itself, if it did */
  private refuse(peer: PeerId, reason: string, outcome: SessionOutcome, who = ''): void {
    this.options.log.warn(
      { peer: Buffer.from(peer, 'latin1').toString('hex') },
      `refused a connection${who}: ${reason}`,
    );
    this.turnAway(peer, reason, outcome);
  }

  private turnAway(peer: PeerId, reason: string, outcome: SessionOutcome): void {
    this.turnedAway.add(peer);
    this.admission.forget(peer);
    this.connections.sendTo(peer, { type: 'bye', reason, outcome });
  }
}
