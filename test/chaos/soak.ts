// `npm run soak -- --minutes 30 --seed S`: a run to which random faults happen for a bounded time, compared with an
// undisturbed one. The seed decides the faults and their order; real processes decide what they meet.
import { cp, readdir, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LockstepProcess } from '../../bench/support/lockstep-process.js';
import { isCommit } from '../../bench/support/log-lines.js';
import { Random } from '../simulation/random.js';
import { Link } from './links.js';
import { Stage, type Scene } from './scene.js';

const WORKERS = 3;
/** Steps of which a fault is likely to meet each part, and so many that faults and not steps end the soak. */
const PAUSE_MS = [500, 4000] as const;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('error: expected --minutes N (more than 0) and --seed S (a whole number)');
  process.exit(2);
}

class Soak {
  private readonly random = new Random(seed);
  private readonly counts = new Map<string, number>();
  private readonly links: Link[] = [];
  private readonly workers: LockstepProcess[] = [];

  constructor(private readonly scene: Scene) {}

  /** Injects faults until the time is over, then lets the run finish in peace. */
  async run(until: number): Promise<void> {
    await this.scene.startCoordinator();
    for (let i = 0; i < WORKERS; i++) {
      this.links.push(await Link.to(this.scene));
      this.workers.push(this.join(i));
    }
    const faults = ['killWorker', 'stopWorker', 'flap', 'partition', 'restart', 'tear'] as const;
    while (performance.now() < until && !this.scene.coordinator.hasEnded) {
      const fault = this.random.pick(faults);
      this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
      console.log(`${new Date().toISOString().slice(11, 19)} ${fault}`);
      await this[fault]();
      await delay(PAUSE_MS[0] + this.random.next() * (PAUSE_MS[1] - PAUSE_MS[0]));
    }
    await this.scene.finish();
  }

  summary(): string {
    const steps = this.scene.everyCoordinator.flatMap(({ lines }) => lines.filter(isCommit(0))).length;
    const faults = [...this.counts].map(([name, count]) => `${name} ${count}`).join(', ');
    return `${steps} steps computed for ${this.scene.steps}, ${this.scene.everyCoordinator.length - 1} restarts; faults: ${faults || 'none'}`;
  }

  close(): void {
    for (const link of this.links) link.close();
  }

  async keepLogs(folder: string): Promise<void> {
    const processes = [...this.scene.everyCoordinator, ...this.workers];
    await cp(this.scene.directory, path.join(folder, 'run'), { recursive: true });
    await Promise.all(
      processes.map((one, i) => writeFile(path.join(folder, `process-${i}.log`), one.text())),
    );
  }

  private join(i: number): LockstepProcess {
    return this.scene.worker(`w${i}`, { url: this.links[i]!.urlOf(this.scene) });
  }

  private anyone(): number {
    return this.random.below(WORKERS);
  }

  private async killWorker(i = this.anyone()): Promise<void> {
    this.workers[i]!.kill('SIGKILL');
    await this.workers[i]!.exit();
    this.workers[i] = this.join(i);
  }

  private async stopWorker(): Promise<void> {
    const worker = this.workers[this.anyone()]!;
    worker.kill('SIGSTOP');
    await delay(this.random.next() * 4000);
    worker.kill('SIGCONT');
  }

  private async flap(): Promise<void> {
    const i = this.anyone();
    for (let times = 0; times < 3; times++) {
      await this.killWorker(i);
      await delay(this.random.next() * 1500);
    }
  }

  private async partition(): Promise<void> {
    const cut = this.links.filter(() => this.random.chance(0.5));
    const directions = (['toCoordinator', 'toWorker'] as const).filter(() => this.random.chance(0.7));
    for (const link of cut) link.cut(...directions);
    await delay(this.random.next() * 4000);
    for (const link of cut) link.heal();
  }

  private async restart(damage?: () => Promise<void>): Promise<void> {
    this.scene.coordinator.kill('SIGKILL');
    if ((await this.scene.coordinator.exit()) !== 'SIGKILL') return; // it had finished
    await damage?.();
    await this.scene.startCoordinator();
    for (const link of this.links) await link.follow(this.scene);
  }

  /** Cuts a file of the newest of several checkpoints off, while no coordinator runs. */
  private tear(): Promise<void> {
    return this.restart(async () => {
      const folder = path.join(this.scene.directory, 'checkpoints');
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('step-'));
      if (names.length < 2) return;
      const stepOf = (name: string): number => Number(/^step-(\d+)/.exec(name)![1]);
      const newest = names.sort((a, b) => stepOf(b) - stepOf(a))[0]!;
      await truncate(path.join(folder, newest, 'optimizer.safetensors'), 100).catch(() => undefined);
    });
  }
}

const stage = new Stage();
// As many steps as take longer than the faults on most machines; a run that ends early ends the soak.
const steps = Math.max(40, 2 * Math.round(minutes * 120));
const scene = await stage.scene({ model: 'small', format: 'float32', steps });
const soak = new Soak(scene);
let verdict = 0;
console.log(`soak of ${minutes} minutes, seed ${seed}, ${steps} steps`);
try {
  await soak.run(performance.now() + minutes * 60_000);
  console.log(`${soak.summary()}\nverdict: the same SHA-256 as an undisturbed run`);
} catch (error) {
  verdict = 1;
  const folder = path.join(tmpdir(), `lockstep-soak-${seed}`);
  await soak.keepLogs(folder).catch(() => undefined);
  console.error(error);
  console.error(`${soak.summary()}\nverdict: FAILED; logs are in ${folder}`);
} finally {
  soak.close();
  await scene.close();
  await stage.remove();
}
process.exitCode = verdict;
