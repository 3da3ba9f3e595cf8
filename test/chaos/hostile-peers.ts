// Peers that mean no good: what they send to a coordinator and its reducers, and a wiretap on an honest worker's line.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { encodeFrames } from '../../src/protocol/frames.js';
import {
  coordinatorToWorker,
  decode,
  reducerToWorker,
  type CoordinatorToWorker,
  type ReducerToWorker,
} from '../../src/protocol/messages.js';
import { DealerSocket } from '../../src/transport/dealer.js';

const HEARTBEAT_MS = 60_000;

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

/** Connections below ZeroMQ: what somebody says who knows nothing of it, or who says nothing. */
export class RawConnections {
  private readonly sockets: Socket[] = [];

  async open(url: string, bytes: Uint8Array | null): Promise<void> {
    const socket = connect(addressOf(url));
    socket.on('error', () => undefined); // the other side hangs up
    this.sockets.push(socket);
    await once(socket, 'connect');
    if (bytes) socket.write(bytes);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

type Answer = CoordinatorToWorker | ReducerToWorker;

/** A connection that speaks ZeroMQ and says what it likes. */
export class HostilePeer {
  private readonly socket: DealerSocket;
  private readonly answers: Answer[] = [];
  private isCut = false;
  private wake = (): void => undefined;

  constructor(url: string, to: 'coordinator' | 'reducer') {
    this.socket = new DealerSocket(url, HEARTBEAT_MS, null);
    const schema = to === 'coordinator' ? coordinatorToWorker : reducerToWorker;
    this.socket.open({
      message: (frames) => {
        this.answers.push(decode<Answer>(schema, frames));
        this.wake();
      },
      lost: () => {
        this.isCut = true;
        this.wake();
      },
    });
  }

  /** Any header with a right checksum. */
  say(header: object, payload?: Uint8Array): this {
    return this.send(encodeFrames(header, payload));
  }

  send(frames: readonly Uint8Array[]): this {
    this.socket.send(frames);
    return this;
  }

  greet(name: string): this {
    return this.say({ type: 'hello', name, host: 'nowhere', runId: null, key: null });
  }

  /** The next answer of a type, or what came in its place when it was turned away. */
  async answer<T extends Answer['type']>(type: T): Promise<Answer & { type: T }> {
    for (;;) {
      const found = this.answers.find((answer) => answer.type === type);
      if (found) return found as Answer & { type: T };
      if (this.isCut) throw new Error(`cut off before "${type}"`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Resolves when it was told to go, or was cut off. */
  async turnedAway(): Promise<void> {
    const isOver = ({ type }: Answer): boolean => type === 'bye' || type === 'refused';
    while (!this.isCut && !this.answers.some(isOver))
      await new Promise<void>((resolve) => (this.wake = resolve));
  }

  close(): void {
    this.socket.close();
  }
}

/** Stands between a worker and the coordinator, and notes what crosses. */
export class Wiretap {
  readonly fromWorker: Buffer[] = [];
  private fromCoordinator = '';
  private readonly sockets: Socket[] = [];
  private wake = (): void => undefined;

  private constructor(
    readonly url: string,
    private readonly close_: () => void,
  ) {}

  static async open(url: string): Promise<Wiretap> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const tap = new Wiretap(`tcp://127.0.0.1:${port}`, () => server.close());
    server.on('connection', (worker) => tap.join(worker, connect(addressOf(url))));
    return tap;
  }

  /** The session that the worker was given, and its term. */
  async session(): Promise<{ session: string; term: number }> {
    for (;;) {
      const welcome = /"type":"welcome","session":"(\w+)","term":(\d+)/.exec(this.fromCoordinator);
      if (welcome) return { session: welcome[1]!, term: Number(welcome[2]) };
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  private join(worker: Socket, coordinator: Socket): void {
    this.sockets.push(worker, coordinator);
    worker.on('data', (bytes) => this.fromWorker.push(bytes));
    coordinator.on('data', (bytes) => {
      this.fromCoordinator = (this.fromCoordinator + bytes.toString('latin1')).slice(-100_000);
      this.wake();
    });
    for (const [from, to] of [
      [worker, coordinator],
      [coordinator, worker],
    ] as const) {
      from.on('error', () => undefined);
      from.pipe(to);
    }
  }

  close(): void {
    this.close_();
    for (const socket of this.sockets) socket.destroy();
  }
}
