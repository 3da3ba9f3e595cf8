// A ZeroMQ ROUTER that serves many peers: frames in, frames out, and who went away. No message is understood here.
import { Router } from 'zeromq';
import { UserError, messageOf } from '../util/errors.js';
import { z85, type ServerSecurity } from './keys.js';
import { receiveAll } from './receive.js';
import { SendQueue } from './send-queue.js';

/** ZMQ_ROUTER_NOTIFY: a disconnected peer is reported as an empty message under its routing id. */
const ROUTER_NOTIFY = 97;
const NOTIFY_DISCONNECT = 2;

/** A connection that has not said by then who it is, is closed. */
const HANDSHAKE_MS = 10_000;

/** zeromq.js declares the setter of options it has no name for as protected. */
class NotifyingRouter extends Router {
  notifyDisconnects(): void {
    this.setInt32Option(ROUTER_NOTIFY, NOTIFY_DISCONNECT);
  }
}

/** A peer's routing id as a string (its bytes in latin1), chosen by the ROUTER per connection. */
export type PeerId = string;

export interface RouterHandlers {
  message(peer: PeerId, frames: Uint8Array[]): void;
  disconnected(peer: PeerId): void;
  /** It does not read what is sent to it: what was just sent is lost. */
  overflowed(peer: PeerId): void;
}

export interface RouterOptions {
  /** Silence after which a peer's connection is given up by ZeroMQ itself. */
  readonly heartbeatMs: number;
  /** null: whoever connects is served, and nothing is encrypted. */
  readonly security: ServerSecurity | null;
  /** ZeroMQ ends a connection over which a larger frame comes. */
  readonly maxFrameBytes: number;
  /** Messages of one peer that may wait to be handled; then its connection is not read on. More than an honest one has. */
  readonly maxWaiting: number;
  /** How long last messages may take after `close`. */
  readonly lingerMs?: number;
}

/** Messages to one peer that may wait to be sent: what it asks for is bounded, but it might ask and never read. */
const MAX_UNREAD = 1000;

export class RouterSocket {
  private readonly socket: NotifyingRouter;
  private readonly queue = new SendQueue((frames) => this.sendOne(frames));
  private overflowed: RouterHandlers['overflowed'] = () => undefined;

  constructor({ heartbeatMs, security, maxFrameBytes, maxWaiting, lingerMs = 0 }: RouterOptions) {
    this.socket = new NotifyingRouter({
      mandatory: true,
      sendTimeout: 0,
      sendHighWaterMark: MAX_UNREAD,
      receiveHighWaterMark: maxWaiting,
      maxMessageSize: maxFrameBytes,
      linger: lingerMs,
      heartbeatInterval: Math.ceil(heartbeatMs / 2),
      heartbeatTimeout: heartbeatMs,
      handshakeInterval: HANDSHAKE_MS,
    });
    this.socket.notifyDisconnects();
    if (!security) return;
    this.socket.curveServer = true;
    this.socket.curveSecretKey = z85(security.secretKey);
    this.socket.zapDomain = security.domain;
    this.socket.zapEnforceDomain = true; // otherwise everybody gets in where the gate does not answer
  }

  /** Binds and returns the address with the port that was chosen. */
  async bind(url: string): Promise<string> {
    try {
      await this.socket.bind(url);
    } catch (error) {
      throw bindFailed(url, error);
    }
    return this.socket.lastEndpoint ?? url;
  }

  /** Hands over every message until the socket is closed. */
  async receive(handlers: RouterHandlers): Promise<void> {
    this.overflowed = (peer) => handlers.overflowed(peer);
    await receiveAll(this.socket, ([id, ...frames]) => {
      const peer = (id as Buffer).toString('latin1');
      if (frames.length === 1 && frames[0]!.length === 0) handlers.disconnected(peer);
      else handlers.message(peer, frames);
    });
  }

  /** Queues a message; one for a peer that is gone is dropped, since `disconnected` tells of it. */
  send(peer: PeerId, frames: readonly Uint8Array[]): void {
    this.queue.push([Buffer.from(peer, 'latin1'), ...frames]);
  }

  /** Resolves when everything queued has been handed to ZeroMQ. */
  flushed(): Promise<void> {
    return this.queue.flushed();
  }

  close(): void {
    this.queue.close();
    this.socket.close();
  }

  private async sendOne(frames: Uint8Array[]): Promise<void> {
    try {
      await this.socket.send(frames);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      this.overflowed(Buffer.from(frames[0]!).toString('latin1'));
    }
  }
}

export function bindFailed(url: string, error: unknown): UserError {
  const message = `cannot listen on ${url}: ${messageOf(error)}${hint(error)}`;
  return new UserError('BIND_FAILED', message, { cause: error });
}

function hint(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return '; is another coordinator running? --bind takes another port';
  return code === 'EADDRNOTAVAIL' ? '; the address must be one of this machine' : '';
}
