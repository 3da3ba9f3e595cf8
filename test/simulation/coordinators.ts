// The coordinators of a simulated run: one after another, each beginning where the newest checkpoint ends; or, when one
// stands still for so long that its term may be taken, another beside it.
import assert from 'node:assert/strict';
import type { CoordinatorAction, CoordinatorEvent } from '../../src/coordinator/events.js';
import type { TrainingEvent } from '../../src/metrics/events.js';
import { claimTerm, newestFolder, newestOn } from './checkpoints.js';
import type { VirtualClock } from '../../src/simulation/clock.js';
import { CoordinatorProcess, RENEWAL_MS, type CoordinatorWorld } from './coordinator-process.js';
import type { Disk } from './disk.js';
import type { Process } from './process.js';
import type { Random } from './random.js';
import type { Reference } from './reference.js';
import { HEARTBEAT, type Scenario } from './scenario.js';
import { describe } from './trace.js';
import type { Wire } from './wire.js';

/** An owner that has not renewed its term for so long may be superseded. */
const OWNERSHIP_MS = 3 * RENEWAL_MS;

/** The cluster around them. */
export interface CoordinatorsWorld {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly scenario: Scenario;
  readonly reference: Reference;
  readonly disk: Disk;
  readonly calmMs: number;
  trace(line: () => string): void;
  count(what: string): void;
  staffUp(): void;
  removeWrongWorkers(): void;
  isWrong(worker: string): boolean;
}

export class Coordinators {
  /** The first that did not hold. */
  violation: { readonly error: unknown } | undefined;
  current!: CoordinatorProcess;
  term = 0;
  lastProgressAt = 0;
  private superseded: CoordinatorProcess[] = [];
  /** The newest version that was reported to be saved. */
  private savedVersion = -1;
  /** One that is starting reads the disk. */
  private starting: Promise<void> | undefined;
  private isComplete = false;
  private isTainted = false;

  constructor(private readonly world: CoordinatorsWorld) {
    world.disk.changing = (process, path) => this.changing(process, path);
  }

  /** The run is complete, or wrong numbers that nobody could find have made it another. */
  get hasEnded(): boolean {
    return this.isComplete || this.isTainted;
  }

  get wires(): Wire[] {
    return [this.current, ...this.superseded].flatMap(({ wires }) => [...wires.values()]);
  }

  async started(): Promise<void> {
    if (!this.starting) return;
    await this.starting;
    this.starting = undefined;
  }

  /** Begins where the newest checkpoint ends. */
  async start(): Promise<void> {
    const { scenario, disk, reference } = this.world;
    this.superseded = this.superseded.filter(({ isAlive }) => isAlive);
    const holding = {
      term: ++this.term,
      contested: this.superseded.length > 0,
      superseded: () => this.ended(coordinator),
    };
    this.lastProgressAt = this.world.clock.now;
    if (scenario.takeovers) await claimTerm(disk, holding.term);
    const newest = await newestOn(disk, scenario, holding);
    const start = newest ?? reference.states[0]!;
    const { version } = start.progress;
    this.world.trace(() => `coordinator ${holding.term} starts at version ${version}`);
    assert.ok(version >= this.savedVersion, `version ${this.savedVersion} was saved`);
    reference.check(start);
    const coordinator = new CoordinatorProcess(holding, start, newest !== undefined, this.worldOf());
    this.current = coordinator;
    // Who was told that the run has ended does not come back; somebody starts others.
    this.world.staffUp();
  }

  /** Its end is seen by the workers at once, or not before they miss its answers. */
  restart(silently: boolean): void {
    const { random, disk, clock } = this.world;
    this.end(this.current, silently);
    const down = random.pick([10, 500, 8000]);
    const { term } = this;
    if (silently) disk.losePower();
    clock.after(down, () => {
      if (this.term === term) this.starting = this.start();
    });
  }

  /** The current one stands still for a while: if that is too long, another takes the run. */
  supersedeDuring(ms: number): void {
    const { current } = this;
    const { clock } = this.world;
    clock.after(OWNERSHIP_MS, () => {
      if (this.current !== current || !current.isAlive || this.starting) return;
      this.world.trace(() => `${current.name} is superseded`);
      this.world.count('term contested');
      this.superseded.push(current);
      this.starting = this.start();
    });
    clock.after(ms + 4 * RENEWAL_MS, () =>
      assert.ok(!this.superseded.includes(current) || !current.isAlive, 'a superseded coordinator ends'),
    );
  }

  /** From here on nothing new goes wrong. */
  calmDown(): void {
    this.lastProgressAt = this.world.clock.now;
    for (const coordinator of [this.current, ...this.superseded]) {
      coordinator.dieAfter(Infinity);
      coordinator.thaw(true);
    }
  }

  async checkEnd(): Promise<void> {
    if (this.isTainted) return this.world.count('wrong numbers committed that no audit saw to its end');
    const { disk, scenario, reference } = this.world;
    const newest = await newestOn(disk, scenario, this.current.holding);
    assert.equal(newest?.progress.version, scenario.options.steps, 'a run that is complete is saved');
    reference.check(newest);
  }

  private end(coordinator: CoordinatorProcess, silently: boolean): void {
    coordinator.kill();
    for (const wire of coordinator.wires.values()) {
      if (silently) wire.vanish();
      else wire.cut();
    }
    coordinator.wires.clear();
  }

  private worldOf(): CoordinatorWorld {
    const { clock, random, scenario, reference, disk } = this.world;
    let sessions = 0; // tokens are random, but here one of an old term can come again
    return {
      clock,
      random,
      scenario,
      reference,
      disk,
      newSession: () => `session-${sessions++}`,
      heard: (event) => this.heard(event),
      decided: (process, action) => this.decided(action, process),
      violated: (error) => (this.violation ??= { error }),
      faulted: (session, reason) => {
        this.world.trace(() => `${session} ${reason}`);
        this.world.count('worker expelled');
        assert.ok(scenario.tampering, `${session} ${reason}`);
      },
      finished: (process, saved) => this.finished(process, saved),
      isSuperseded: (process) => this.superseded.includes(process),
      failed: (process, message) => this.failed(process, message),
    };
  }

  // ---- what they do

  private decided(action: CoordinatorAction, process: CoordinatorProcess): void {
    const { world } = this;
    switch (action.type) {
      case 'commit':
        this.isTainted ||= process.invariants.isTainted;
        if (process === this.current) this.lastProgressAt = world.clock.now;
        world.count(action.update ? 'step committed' : 'step skipped');
        break;
      case 'begin':
        if (action.round > 0) world.count('step computed again');
        break;
      case 'recall':
        world.count('lease recalled');
        break;
      case 'event':
        return this.published(action.event);
      case 'heartbeat':
        return;
      default:
    }
    world.trace(() => describe(action));
  }

  private published(event: TrainingEvent): void {
    const { world } = this;
    if (event.kind === 'leaseDuplicated') world.count('lease duplicated');
    if (event.kind === 'nodeAudited') {
      world.count(`audit: ${event.outcome}`);
      const isHarmless = ['equal', 'abandoned'].includes(event.outcome);
      assert.ok(isHarmless || world.scenario.wrongWorkers, 'nobody computes wrongly');
    }
    if (event.kind === 'workerLeft' && event.reason === 'expelled') {
      world.count('wrong worker expelled');
      assert.ok(world.isWrong(event.worker), `${event.worker} computes rightly`);
    }
    if (event.kind === 'leaseEnded' && event.outcome === 'lost') {
      world.count('lease lost');
      assert.ok(world.scenario.troubledMs > 0, 'without faults no lease is lost');
    }
  }

  private heard(event: CoordinatorEvent): void {
    if (event.type !== 'checkpointEnded') return;
    this.world.count(event.saved ? 'checkpoint written' : 'checkpoint failed');
    if (event.saved) this.savedVersion = Math.max(this.savedVersion, event.version);
  }

  private finished(process: CoordinatorProcess, saved: boolean): void {
    const { clock, scenario, calmMs } = this.world;
    const { progress, sessions } = process.host.machine.state;
    this.world.trace(() => `${process.name} finishes at version ${progress.version}`);
    const isDone = progress.version === scenario.options.steps && saved;
    const silentSince = process.now() - 2 * HEARTBEAT.timeoutMs;
    if (calmMs > 3 * HEARTBEAT.timeoutMs)
      for (const { lastHeard } of sessions)
        assert.ok(lastHeard > silentSince, 'who is silent does not stay a member');
    clock.after(100, () => {
      if (process !== this.current) this.end(process, false);
      else if (isDone) this.isComplete = true;
      else this.restart(false);
    });
  }

  /** An audit found that somebody is wrong, and not who: a person has to look. */
  private failed(process: CoordinatorProcess, message: string): void {
    const { scenario, clock } = this.world;
    this.world.trace(() => `${process.name} fails: ${message}`);
    assert.ok(scenario.wrongWorkers, message);
    this.world.count('audit ended the run');
    clock.after(0, () => {
      this.world.removeWrongWorkers();
      if (process === this.current) this.restart(false);
      else this.end(process, false);
    });
  }

  /** It has found that another took the run. */
  private ended(process: CoordinatorProcess): void {
    if (!process.isAlive) return;
    this.world.trace(() => `${process.name} finds that it is superseded`);
    this.world.count('superseded coordinator ended');
    this.end(process, false);
  }

  /** Whoever was superseded changes nothing that a reader takes for the run's state. */
  private changing(process: Process | null, path: string): void {
    const old = this.superseded.find((one) => one === process);
    const newest = old && newestFolder(this.world.disk);
    assert.ok(
      newest === undefined || (path !== newest && !path.startsWith(`${newest}/`)),
      `${process?.name} was superseded and changes ${path}`,
    );
  }
}
