// The control connections: which peer is which session, and messages to a session in order, even when one of
// them has to be read from disk first.
import { randomBytes } from 'node:crypto';
import { encode, type CoordinatorToWorker } from '../protocol/messages.js';
import type { PeerId, RouterSocket } from '../transport/router.js';

interface Outgoing {
  readonly message: CoordinatorToWorker;
  readonly payload?: Uint8Array;
}

export class Connections {
  private readonly peers = new Map<string, PeerId>();
  private readonly sessions = new Map<PeerId, string>();
  private readonly outboxes = new Map<string, Promise<void>>();

  constructor(private readonly socket: RouterSocket) {}

  sessionOf(peer: PeerId): string | undefined {
    return this.sessions.get(peer);
  }

  /** A new session for a peer: a random token that nobody else can know. */
  open(peer: PeerId): string {
    const session = randomBytes(16).toString('hex');
    this.peers.set(session, peer);
    this.sessions.set(peer, session);
    return session;
  }

  close(session: string): void {
    const peer = this.peers.get(session);
    this.peers.delete(session);
    this.outboxes.delete(session);
    if (peer !== undefined) this.sessions.delete(peer);
  }

  /** Sends after everything sent to the session before; dropped when it has ended by then. */
  send(session: string, outgoing: Outgoing | Promise<Outgoing>): Promise<void> {
    const before = this.outboxes.get(session) ?? Promise.resolve();
    const sent = before.then(async () => {
      const { message, payload } = await outgoing;
      const peer = this.peers.get(session);
      if (peer !== undefined) this.socket.send(peer, encode(message, payload));
    });
    this.outboxes.set(session, sent);
    return sent;
  }

  /** To a peer without a session, at once. */
  sendTo(peer: PeerId, message: CoordinatorToWorker): void {
    this.socket.send(peer, encode(message));
  }

  /** Resolves when everything sent has left the outboxes. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.outboxes.values());
    await this.socket.flushed();
  }
}
