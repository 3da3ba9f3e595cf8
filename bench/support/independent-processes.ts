// What the machine itself allows: processes that compute training steps and share nothing but its cores, caches and
// memory. No way of training together scales better.
import { ownArm } from './arms.js';
import { Peer } from './peer.js';
import { median } from './statistics.js';
import { QUICK, SMALL } from './step-workload.js';

const STEPS = 3;

export class IndependentProcesses {
  private constructor(private readonly peers: readonly Peer[]) {}

  /** Resolves once all are warm. One thread each. */
  static async start(count: number, quick: boolean, signal: AbortSignal): Promise<IndependentProcesses> {
    const workload = quick ? QUICK : { ...SMALL, samples: 8 };
    const command = ownArm('native').command({ workload, precision: 'float32', threads: 1 });
    const peers: Peer[] = [];
    try {
      for (let i = 0; i < count; i++) peers.push((await Peer.start(command, signal)).peer);
    } catch (error) {
      await closeAll(peers);
      throw error;
    }
    return new IndependentProcesses(peers);
  }

  /** How many times the work of one of them, computing alone, all do at once. */
  async speedUp(): Promise<number> {
    const [first] = this.peers;
    const alone = await first!.run(STEPS);
    const together = await Promise.all(this.peers.map((peer) => peer.run(STEPS)));
    const secondsTogether = median(together.flatMap(({ seconds }) => seconds));
    return (this.peers.length * median(alone.seconds)) / secondsTogether;
  }

  close(): Promise<void> {
    return closeAll(this.peers);
  }
}

async function closeAll(peers: readonly Peer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.close()));
}
