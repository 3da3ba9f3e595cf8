// Who speaks to a reducer: which connection is which session, and what becomes of a message that comes over it. A session
// is open from when the coordinator says so; one connection attaches to it; nothing of another session or term is heard.
import type { Received, WorkerToReducer } from '../../protocol/messages.js';
import type { PeerId } from '../../transport/router.js';

type Message = Received<WorkerToReducer>;

/** What becomes of a message: it is of the peer's session, it is dropped, or its sender is told why not. */
export type Hearing = 'accept' | 'drop' | { readonly refuse: string };

/** Many more than can be welcomed while a message goes from one thread to another. */
const MAX_EARLY = 1024;

export class Peers {
  private readonly peers = new Map<string, PeerId>();
  private readonly sessions = new Map<PeerId, string>();
  private readonly open = new Set<string>();
  /** Peers whose session is over, or who never had one and were told so: what they still send is dropped. */
  private readonly ended = new Set<PeerId>();
  /** Peers that attached to a session which the coordinator has not told us of yet. */
  private readonly early = new Map<PeerId, Message>();

  constructor(private readonly term: number) {}

  sessionOf(peer: PeerId): string | undefined {
    return this.sessions.get(peer);
  }

  peerOf(session: string): PeerId | undefined {
    return this.peers.get(session);
  }

  hear(peer: PeerId, message: Message): Hearing {
    const session = this.sessions.get(peer);
    if (this.ended.has(peer)) return 'drop';
    if (message.term !== this.term)
      return this.refuse(peer, `this is term ${this.term}, not ${message.term}`);
    if (session === undefined && message.type === 'attach') return this.attach(peer, message);
    if (session === message.session) return 'accept';
    return this.refuse(peer, 'the session is not known here');
  }

  /** Who is told is told once. */
  refuse(peer: PeerId, reason: string): Hearing {
    if (this.ended.has(peer)) return 'drop';
    this.early.delete(peer);
    if (!this.sessions.has(peer)) this.ended.add(peer);
    return { refuse: reason };
  }

  private attach(peer: PeerId, message: Message): Hearing {
    const { session } = message;
    if (!this.open.has(session)) {
      if (this.early.size >= MAX_EARLY) return this.refuse(peer, 'the session is not known here');
      this.early.set(peer, message);
      return 'drop';
    }
    if (this.peers.has(session)) return this.refuse(peer, 'the session is attached already');
    this.peers.set(session, peer);
    this.sessions.set(peer, session);
    return 'accept';
  }

  /** The session may be attached to. Returns what came too early for it, to be heard now. */
  openSession(session: string): (readonly [PeerId, Message])[] {
    this.open.add(session);
    const waiting = [...this.early].filter(([, message]) => message.session === session);
    for (const [peer] of waiting) this.early.delete(peer);
    return waiting;
  }

  closeSession(session: string): void {
    this.open.delete(session);
    const peer = this.unbind(session);
    if (peer !== undefined) this.ended.add(peer);
  }

  /** The peer's connection is gone. Returns the session that it had, which nobody can attach to again. */
  disconnected(peer: PeerId): string | undefined {
    this.early.delete(peer);
    this.ended.delete(peer);
    const session = this.sessions.get(peer);
    if (session === undefined) return undefined;
    this.open.delete(session);
    this.unbind(session);
    return session;
  }

  private unbind(session: string): PeerId | undefined {
    const peer = this.peers.get(session);
    this.peers.delete(session);
    if (peer !== undefined) this.sessions.delete(peer);
    return peer;
  }
}
