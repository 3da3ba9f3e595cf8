// A ZeroMQ DEALER with one connection to one peer. It never reconnects: what was queued on a lost connection is
// lost without a word, so a lost connection is reported and the owner starts over.
import { Dealer } from 'zeromq';
import { UserError, messageOf } from '../util/errors.js';
import { receiveAll } from './receive.js';
import { SendQueue } from './send-queue.js';

export interface DealerHandlers {
  message(frames: Uint8Array[]): void;
  /** The connection was refused, reset or given up; nothing follows. */
  lost(reason: string): void;
}

export class DealerSocket {
  private readonly socket = new Dealer({
    reconnectInterval: -1,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    linger: 0,
  });
  private readonly queue = new SendQueue((frames) => this.socket.send(frames));

  /** @param heartbeatMs silence after which ZeroMQ gives the connection up */
  constructor(
    private readonly url: string,
    heartbeatMs: number,
  ) {
    this.socket.heartbeatInterval = Math.ceil(heartbeatMs / 2);
    this.socket.heartbeatTimeout = heartbeatMs;
    this.socket.connectTimeout = heartbeatMs;
  }

  /** Connects and hands over every message until the connection is lost or closed. */
  open(handlers: DealerHandlers): void {
    const lost = (reason: string): void => {
      if (!this.socket.closed) handlers.lost(`${this.url}: ${reason}`);
    };
    const { events } = this.socket;
    events.on('disconnect', () => lost('connection lost'));
    events.on('connect:retry', () => lost('connection refused'));
    events.on('close', () => lost('connection closed'));
    events.on('handshake:error:protocol', () => lost('the peer speaks another protocol'));
    try {
      this.socket.connect(this.url);
    } catch (error) {
      throw new UserError('ADDRESS_INVALID', `cannot connect to ${this.url}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    receiveAll(this.socket, (frames) => handlers.message(frames)).catch((error: unknown) =>
      lost(messageOf(error)),
    );
  }

  send(frames: readonly Uint8Array[]): void {
    this.queue.push(frames);
  }

  flushed(): Promise<void> {
    return this.queue.flushed();
  }

  close(): void {
    this.queue.close();
    this.socket.close();
  }
}
