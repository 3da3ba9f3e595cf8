// A worker's connection to one reducer without the computing: what it offers are gradients of zeros, pushed as they are granted.
import { crc32 } from '../../src/engine/native/memory.js';
import type { ChunkGrid } from '../../src/protocol/chunks.js';
import type { Envelope } from '../../src/protocol/envelope.js';
import type { WireFormat } from '../../src/protocol/job.js';
import { decode, encode, reducerToWorker } from '../../src/protocol/messages.js';
import { nodeIdOf, type NodeId } from '../../src/protocol/node-id.js';
import { DealerSocket } from '../../src/transport/dealer.js';
import type { ClientSecurity } from '../../src/transport/keys.js';

/** ZeroMQ's heartbeats: a process full of pushers is slow to answer. */
const HEARTBEAT_MS = 60_000;

export interface PusherOptions {
  readonly url: string;
  readonly envelope: Envelope;
  readonly grid: ChunkGrid;
  readonly wire: WireFormat;
  readonly security: ClientSecurity | null;
}

export interface PusherHandlers {
  attached(): void;
  /** The reducer wants nothing more of this node. */
  done(node: NodeId): void;
  lost(reason: string): void;
}

export class GradientPusher {
  private readonly socket: DealerSocket;
  private readonly payloads = new Map<number, { readonly payload: Uint8Array; readonly crc: number }>();

  constructor(
    private readonly options: PusherOptions,
    private readonly handlers: PusherHandlers,
  ) {
    this.socket = new DealerSocket(options.url, HEARTBEAT_MS, options.security);
    this.socket.open({
      message: (frames) => this.hear(frames),
      lost: (reason) => handlers.lost(reason),
    });
    this.socket.send(encode({ type: 'attach', ...options.envelope }));
  }

  offer(node: NodeId): void {
    this.socket.send(encode({ type: 'offer', ...this.options.envelope, ...nodeIdOf(node) }));
  }

  close(): void {
    this.socket.close();
  }

  private hear(frames: Uint8Array[]): void {
    const message = decode(reducerToWorker, frames);
    if (message.type === 'attached') this.handlers.attached();
    else if (message.type === 'done') this.handlers.done(nodeIdOf(message));
    else if (message.type === 'refused') this.handlers.lost(message.reason);
    else if (message.type === 'grant') {
      const header = { type: 'chunk', ...this.options.envelope, ...nodeIdOf(message) } as const;
      for (const chunk of message.chunks) {
        const { payload, crc } = this.payloadOf(chunk);
        this.socket.send(encode({ ...header, chunk }, payload, crc));
      }
    }
  }

  /** The same zeros for all chunks of a size, summed up once. */
  private payloadOf(chunk: number): { payload: Uint8Array; crc: number } {
    const { grid, wire } = this.options;
    const bytes = grid.gradientElements(chunk) * (wire === 'float32' ? 4 : 2);
    let known = this.payloads.get(bytes);
    if (!known) {
      const payload = new Uint8Array(bytes);
      this.payloads.set(bytes, (known = { payload, crc: crc32(payload) }));
    }
    return known;
  }
}
