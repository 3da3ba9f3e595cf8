// A ZeroMQ DEALER with one connection to one peer. It never reconnects: what was queued on a lost connection is
// lost without a word, so a lost connection is reported and the owner starts over.
import { Dealer } from 'zeromq';
import { UserError, messageOf } from '../util/errors.js';
import { z85, type ClientSecurity } from './keys.js';
import { receiveAll } from './receive.js';
import { SendQueue } from './send-queue.js';

const NOT_ALLOWED =
  "this worker's public key is not on the coordinator's allow-list: add it there (coordinator --workers-allowed)";
const NO_KEYS_HERE =
  'only workers with a key may connect: give --key and --coordinator-key (npx lockstep keygen makes keys)';
const NO_KEYS_THERE =
  'the coordinator has no key: start it with --key and --workers-allowed, or this worker without its keys';
/** All that can be seen: a coordinator that cannot decrypt the greeting hangs up, as does one that is killed. */
const NOT_ITS_KEY =
  'the connection ended before it was encrypted: is the file of --coordinator-key the public key of this coordinator?';

const NO_GREETING =
  "the connection ended before the greeting: either this is not the coordinator's port for workers (its --http port?), " +
  'or it wants keys (--key, --coordinator-key)';

export interface DealerHandlers {
  message(frames: Uint8Array[]): void;
  /** The connection was refused, reset or given up; nothing follows. `hopeless`: it would be so again. */
  lost(reason: string, hopeless?: boolean): void;
}

export class DealerSocket {
  private readonly socket = new Dealer({
    reconnectInterval: -1,
    sendHighWaterMark: 0,
    receiveHighWaterMark: 0,
    linger: 0,
  });
  private readonly queue = new SendQueue((frames) => this.socket.send(frames));

  /**
   * @param heartbeatMs silence after which ZeroMQ gives the connection up
   * @param security null: nothing is encrypted, and whoever listens there is believed
   */
  constructor(
    private readonly url: string,
    heartbeatMs: number,
    private readonly security: ClientSecurity | null,
  ) {
    this.socket.heartbeatInterval = Math.ceil(heartbeatMs / 2);
    this.socket.heartbeatTimeout = heartbeatMs;
    this.socket.connectTimeout = heartbeatMs;
    if (!security) return;
    this.socket.curvePublicKey = z85(security.keys.publicKey);
    this.socket.curveSecretKey = z85(security.keys.secretKey);
    this.socket.curveServerKey = z85(security.coordinator);
  }

  /** Connects and hands over every message until the connection is lost or closed. */
  open(handlers: DealerHandlers): void {
    const lost = (reason: string, hopeless = false): void => {
      if (!this.socket.closed) handlers.lost(reason, hopeless);
    };
    const { events } = this.socket;
    events.on('disconnect', () => lost('connection lost'));
    events.on('connect:retry', () => lost('nothing listens there, or it hung up'));
    events.on('close', () => lost('nothing listens there, or it hung up'));
    events.on('handshake:error:auth', () => lost(NOT_ALLOWED, true));
    events.on('handshake:error:protocol', ({ error }) => {
      if (error.code !== 'ERR_ZMTP_MECHANISM_MISMATCH') return lost('the peer speaks another protocol');
      lost(this.security ? NO_KEYS_THERE : NO_KEYS_HERE, true);
    });
    events.on('handshake:error:other', () => lost(this.security ? NOT_ITS_KEY : NO_GREETING));
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
