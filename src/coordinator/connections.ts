// The control connections: which peer is which session, and messages to a session in order, even when one of
// them has to be read from disk first.
import { randomBytes } from 'node:crypto';
import { encode, type CoordinatorToWorker } from '../protocol/messages.js';
import type { PeerId, RouterSocket } from '../transport/router.js';

interface Outgoing {
  readonly message: CoordinatorToWorker;
  readonly payload?: Uint8Array;
}

interface Connection {
  readonly peer: PeerId;
  /** Resolves when everything sent so far has been handed to the socket, or could not be read. */
  outbox: Promise<void>;
}

export class Connections {
  private readonly connections = new Map<string, Connection>();
  /** Sessions that are listened to. */
  private readonly sessions = new Map<PeerId, string>();
  private onEmpty: (() => void) | undefined;

  constructor(private readonly socket: RouterSocket) {}

  sessionOf(peer: PeerId): string | undefined {
    return this.sessions.get(peer);
  }

  /** A new session for a peer: a random token that nobody else can know. */
  open(peer: PeerId): string {
    const session = randomBytes(16).toString('hex');
    this.connections.set(session, { peer, outbox: Promise.resolve() });
    this.sessions.set(peer, session);
    return session;
  }

  /** The session is over: what its peer still says is not of it; what was sent to it still leaves. */
  end(session: string): void {
    const connection = this.connections.get(session);
    if (connection) this.sessions.delete(connection.peer);
  }

  /** The peer's connection is gone. Returns the session that it ends, if it had not ended before. */
  disconnected(peer: PeerId): string | undefined {
    const session = this.sessions.get(peer);
    this.sessions.delete(peer);
    for (const [id, connection] of this.connections)
      if (connection.peer === peer) this.connections.delete(id);
    if (this.connections.size === 0) this.onEmpty?.();
    return session;
  }

  /** Sends after everything sent to the session before; dropped when its peer is gone by then. Rejects as `outgoing` does. */
  async send(session: string, outgoing: Outgoing | Promise<Outgoing>): Promise<void> {
    const connection = this.connections.get(session);
    if (!connection) return;
    const sent = connection.outbox.then(async () => {
      const { message, payload } = await outgoing;
      if (this.connections.has(session)) this.socket.send(connection.peer, encode(message, payload));
    });
    connection.outbox = sent.catch(() => undefined); // whoever asked for it is told, and nobody who comes after
    await sent;
  }

  /** To a peer without a session, at once. */
  sendTo(peer: PeerId, message: CoordinatorToWorker): void {
    this.socket.send(peer, encode(message));
  }

  /** Resolves when every peer has gone, after the goodbye that was sent to it; at the latest after `timeoutMs`. */
  async drained(timeoutMs: number): Promise<void> {
    await Promise.allSettled([...this.connections.values()].map(({ outbox }) => outbox));
    await this.socket.flushed();
    if (this.connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
