// The network between a coordinator and its workers as proxies on loopback: each worker has an address of its own, at
// which it finds the coordinator's and the reducers' ports. A link delays, limits and cuts each direction.
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Random } from '../simulation/random.js';
import type { Scene } from './scene.js';

/** What a line does to what is sent on it. */
export interface Line {
  /** One way. */
  readonly delayMs: number;
  readonly bytesPerSecond: number;
  /**
   * Share of segments that are lost. TCP sends such a segment again when its timer runs out, and all behind it wait: so
   * does the link.
   */
  readonly loss: number;
}

const CLEAR: Line = { delayMs: 0, bytesPerSecond: Infinity, loss: 0 };

export type Direction = 'toCoordinator' | 'toWorker';

const SEGMENT_BYTES = 1460;
/** The least timeout of TCP, to which two delays are added. */
const RETRANSMISSION_MS = 200;

let links = 0;

/** The way from one worker to the coordinator and back. */
export class Link {
  readonly host = `127.0.1.${++links}`;
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly cuts = new Set<Direction>();
  private readonly waiting = new Set<() => void>();

  private constructor(
    private readonly line: Line,
    private readonly random: Random,
  ) {}

  /** Opens the ports that the scene's coordinator says it listens at. */
  static async to(scene: Scene, line: Line = CLEAR, random = new Random(links)): Promise<Link> {
    const link = new Link(line, random);
    await link.follow(scene);
    return link;
  }

  /** Opens the ports of the coordinator that runs now: its reducers' change with each start. */
  async follow(scene: Scene): Promise<void> {
    const { url, reducers } = await scene.listening();
    for (const port of [url, ...reducers].map(portOf)) await this.listen(port);
  }

  /** Where the worker of this link finds the coordinator. */
  urlOf(scene: Scene): string {
    return `tcp://${this.host}:${portOf(scene.url)}`;
  }

  /** From now on nothing arrives in these directions, and nobody is told. */
  cut(...directions: readonly Direction[]): void {
    for (const direction of directions) this.cuts.add(direction);
  }

  /** What was under way goes on. */
  heal(): void {
    this.cuts.clear();
    for (const resume of this.waiting) resume();
    this.waiting.clear();
  }

  close(): void {
    this.heal();
    for (const server of this.servers) server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private async listen(port: number): Promise<void> {
    if (this.servers.some((server) => (server.address() as { port?: number } | null)?.port === port)) return;
    const server = createServer({ allowHalfOpen: true }, (worker) => {
      const coordinator = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
      void this.carry(worker, coordinator, 'toCoordinator');
      void this.carry(coordinator, worker, 'toWorker');
    });
    this.servers.push(server);
    server.listen(port, this.host);
    await once(server, 'listening');
  }

  private async carry(from: Socket, to: Socket, direction: Direction): Promise<void> {
    this.sockets.add(from);
    const end = (): void => void to.destroy();
    from.on('error', end);
    from.on('close', end);
    let freeAt = 0; // when the line has sent what it was given
    let arrivesAt = 0; // of the latest segment: none overtakes another
    try {
      for await (const data of from as AsyncIterable<Buffer>) {
        const { delayMs, bytesPerSecond } = this.line;
        freeAt = Math.max(freeAt, performance.now()) + (data.length / bytesPerSecond) * 1000;
        arrivesAt = Math.max(arrivesAt, freeAt + delayMs + this.retransmissionMs(data.length));
        void this.deliver(data, to, direction, arrivesAt);
        await until(freeAt); // what the line cannot take yet waits at its sender
      }
      await until(arrivesAt);
      await this.passable(direction);
    } catch {
      // The connection was reset; so is the other side's.
    }
    this.sockets.delete(from);
    to.destroy();
  }

  private async deliver(data: Buffer, to: Socket, direction: Direction, at: number): Promise<void> {
    await until(at);
    await this.passable(direction);
    if (!to.destroyed) to.write(data);
  }

  private retransmissionMs(bytes: number): number {
    const { loss, delayMs } = this.line;
    let waitMs = 0;
    for (let sent = 0; sent < bytes; sent += SEGMENT_BYTES) {
      if (this.random.chance(loss)) waitMs += RETRANSMISSION_MS + 2 * delayMs;
    }
    return waitMs;
  }

  private async passable(direction: Direction): Promise<void> {
    while (this.cuts.has(direction)) await new Promise<void>((resolve) => this.waiting.add(resolve));
  }
}

function portOf(url: string): number {
  return Number(/:(\d+)$/.exec(url)![1]);
}

async function until(time: number): Promise<void> {
  const wait = time - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
}
