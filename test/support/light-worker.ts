// A worker that speaks the protocol and computes nothing: it pushes a gradient of zeros as soon as it is leased a
// node. Hundreds fit into one process, which makes load on a coordinator that real workers would need a cluster for.
import { GradientPusher } from '../../bench/support/gradient-pusher.js';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { parameterLayout } from '../../src/model/parameters.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  NOTHING_DONE,
  type CoordinatorToWorker,
  type WorkerToCoordinator,
} from '../../src/protocol/messages.js';
import { nodeIdOf } from '../../src/protocol/node-id.js';
import { encodeStats } from '../../src/protocol/stats.js';
import { DealerSocket } from '../../src/transport/dealer.js';

type Welcome = CoordinatorToWorker & { type: 'welcome' };
const HEARTBEAT_MS = 60_000;

export class LightWorker {
  /** How its session ended. */
  readonly ended: Promise<string>;
  private end!: (reason: string) => void;
  private readonly control: DealerSocket;
  private reducers: GradientPusher[] = [];
  private welcome: Welcome | undefined;
  private attachments = 0;
  private sequence = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(url: string, name: string) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    void this.ended.then(() => this.close());
    this.control = new DealerSocket(url, HEARTBEAT_MS, null);
    this.control.open({
      message: (frames) => this.hear(decode(coordinatorToWorker, frames)),
      lost: (reason) => this.end(reason),
    });
    this.tell({ type: 'hello', name, host: 'here', pid: 1, threads: 1, runId: null, key: null });
  }

  private hear(message: CoordinatorToWorker): void {
    if (message.type === 'welcome') this.attach(message);
    else if (message.type === 'bye') this.end(message.reason);
    else if (message.type === 'lease') {
      const stats = Array.from({ length: message.microBatches }, () => ({
        loss: 1,
        tokens: 1,
        correct: 0,
        sourceTokens: 1,
      }));
      const node = nodeIdOf(message);
      for (const reducer of this.reducers) reducer.offer(node);
      this.tell({ type: 'computed', ...this.envelope(), ...node, seconds: 0.01 }, encodeStats(stats));
    }
  }

  private attach(welcome: Welcome): void {
    this.welcome = welcome;
    const { trainable, total } = parameterLayout(welcome.job.model);
    const grid = new ChunkGrid(trainable, total);
    const { wire } = welcome.job;
    this.reducers = welcome.reducers.map(
      ({ url }) =>
        new GradientPusher(
          { url, envelope: this.envelope(), grid, wire, security: null },
          {
            attached: () => this.attached(),
            done: () => undefined,
            lost: (reason) => this.end(reason),
          },
        ),
    );
    this.timer = setInterval(() => this.beat(), welcome.job.heartbeat.intervalMs);
  }

  private attached(): void {
    if (++this.attachments < this.reducers.length) return;
    const engine = { engine: 'light', matmul: 'none', isa: 'none' };
    this.tell({ type: 'ready', ...this.envelope(), engine, probe: '00'.repeat(32) });
  }

  private beat(): void {
    this.tell({
      type: 'heartbeat',
      ...this.envelope(),
      sequence: ++this.sequence,
      echo: 0,
      report: NOTHING_DONE,
    });
  }

  private tell(message: WorkerToCoordinator, payload?: Uint8Array): void {
    this.control.send(encode(message, payload));
  }

  private envelope(): { session: string; term: number } {
    const { session, term } = this.welcome!;
    return { session, term };
  }

  private close(): void {
    clearInterval(this.timer);
    for (const socket of [this.control, ...this.reducers]) socket.close();
  }
}
