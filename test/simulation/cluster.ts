// A whole simulated cluster: one coordinator after another, workers, the connections between them, virtual time, and what
// goes wrong. All of it is a pure function of the scenario's seed.
import assert from 'node:assert/strict';
import type { CoordinatorAction, CoordinatorEvent } from '../../src/coordinator/events.js';
import { furnish, newestOn } from './checkpoints.js';
import { VirtualClock } from '../../src/simulation/clock.js';
import { CONTROL } from '../../src/simulation/coordinator-host.js';
import { CoordinatorProcess } from './coordinator-process.js';
import { allMicrotasks, Disk } from './disk.js';
import { nextFault, type Victims } from './faults.js';
import { Connection, type Tampering } from './network.js';
import { Random } from './random.js';
import { Reference } from './reference.js';
import { HEARTBEAT, type Scenario } from './scenario.js';
import { OldMessages } from './old-messages.js';
import type { Wire } from './wire.js';
import { brief, describe, nameOf } from './trace.js';
import { WorkerProcess, type Session } from './worker-process.js';

const MOST_WORKERS = 8;
/** Without further faults no step takes longer: a lease of 16 micro-batches, when one took 40 s, expires after 85 min. */
const PATIENCE_MS = 6_000_000;
const MOST_EVENTS = 3_000_000;
/** ZeroMQ gives a silent connection up. */
const SOCKET_TIMEOUT_MS = 5000;

export type Trace = (time: number, line: string) => void;

export class Cluster implements Victims {
  readonly random: Random;
  readonly clock = new VirtualClock();
  readonly reference: Reference;
  readonly disk: Disk;
  /** The newest version that was reported to be saved. */
  private savedVersion = -1;
  /** A coordinator that is starting reads the disk. */
  private starting: Promise<void> | undefined;
  private coordinator!: CoordinatorProcess;
  private readonly workers: WorkerProcess[] = [];
  private readonly wires = new Map<string, Wire>();
  private readonly oldMessages: OldMessages;
  private calm = false;
  private calmSince = Infinity;
  private lastProgressAt = 0;
  private names = 0;
  /** Of this term: tokens are random, but here an old one can come again. */
  private sessions = 0;
  private term = 0;
  private isComplete = false;
  events = 0;
  /** How often what happened: what a run has gone through. */
  readonly counts: Record<string, number> = {};

  constructor(
    readonly scenario: Scenario,
    private readonly onTrace?: Trace,
  ) {
    this.random = new Random(scenario.seed);
    this.reference = new Reference(scenario);
    this.disk = new Disk(this.random, this.random.chance(0.5), () => !this.calm);
    this.oldMessages = new OldMessages(this.random);
    furnish(this.disk);
  }

  /** Runs to the end; throws where something does not hold. */
  async run(): Promise<void> {
    const { scenario, clock, disk } = this;
    await this.startCoordinator();
    if (scenario.troubledMs > 0) {
      this.planFault();
      clock.after(scenario.troubledMs, () => this.calmDown());
    } else this.calm = true;
    while (!this.isComplete) {
      assert.ok(clock.next(), 'something is always planned');
      if (this.starting) {
        await this.starting;
        this.starting = undefined;
      }
      if (disk.hasNews) {
        disk.hasNews = false;
        await allMicrotasks();
      }
      assert.ok(++this.events < MOST_EVENTS, 'the run comes to an end');
      if (!this.calm) continue;
      const waited = clock.now - this.lastProgressAt;
      assert.ok(waited < PATIENCE_MS, `term ${this.term} is stuck for ${waited / 1000} s`);
    }
    const newest = await newestOn(disk, scenario);
    assert.equal(newest?.progress.version, scenario.options.steps, 'a run that is complete is saved');
    this.reference.check(newest);
  }

  trace(line: () => string): void {
    this.onTrace?.(this.clock.now, line());
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  // ---- the coordinator

  /** Begins where the newest checkpoint ends. */
  private async startCoordinator(): Promise<void> {
    this.term++;
    this.sessions = 0;
    this.lastProgressAt = this.clock.now;
    const newest = await newestOn(this.disk, this.scenario);
    const start = newest ?? this.reference.states[0]!;
    const { version } = start.progress;
    this.trace(() => `coordinator ${this.term} starts at version ${version}`);
    assert.ok(version >= this.savedVersion, `version ${this.savedVersion} was saved`);
    this.reference.check(start);
    this.coordinator = new CoordinatorProcess(this.term, start, newest !== undefined, this.worldOf());
    // Who was told that the run has ended does not come back; somebody starts others.
    if (!this.workers.some(({ isAlive }) => isAlive))
      for (let i = 0; i < this.scenario.workers; i++) this.joinWorker();
  }

  private worldOf(): ConstructorParameters<typeof CoordinatorProcess>[3] {
    const { clock, random, scenario, reference, disk } = this;
    return {
      clock,
      random,
      scenario,
      reference,
      disk,
      send: (_, peer, message, payload) => {
        const wire = this.wires.get(peer);
        if (wire?.isOpen) wire.down.send(message, payload);
      },
      newSession: () => `session-${this.sessions++}`,
      heard: (event) => this.heard(event),
      decided: (action) => this.decided(action),
      faulted: (session, reason) => {
        this.trace(() => `${session} ${reason}`);
        this.count('worker expelled');
        assert.ok(scenario.tampering, `${session} ${reason}`);
      },
      finished: (saved) => this.finished(saved),
    };
  }

  private decided(action: CoordinatorAction): void {
    switch (action.type) {
      case 'commit':
        this.lastProgressAt = this.clock.now;
        this.count(action.update ? 'step committed' : 'step skipped');
        break;
      case 'begin':
        if (action.round > 0) this.count('step computed again');
        break;
      case 'recall':
        this.count('lease recalled');
        break;
      case 'event':
        if (action.event.kind === 'leaseDuplicated') this.count('lease duplicated');
        if (action.event.kind === 'nodeAudited') {
          this.count(`audit: ${action.event.outcome}`);
          assert.ok(['equal', 'abandoned'].includes(action.event.outcome), 'nobody computes wrongly');
        }
        if (action.event.kind === 'leaseEnded' && action.event.outcome === 'lost') {
          this.count('lease lost');
          assert.ok(this.scenario.troubledMs > 0, 'without faults no lease is lost');
        }
        return;
      case 'heartbeat':
        return;
      default:
    }
    this.trace(() => describe(action));
  }

  private heard(event: CoordinatorEvent): void {
    if (event.type !== 'checkpointEnded') return;
    this.count(event.saved ? 'checkpoint written' : 'checkpoint failed');
    if (event.saved) this.savedVersion = Math.max(this.savedVersion, event.version);
  }

  private finished(saved: boolean): void {
    const { version } = this.coordinator.host.machine.state.progress;
    this.trace(() => `coordinator ${this.term} finishes at version ${version}`);
    const isDone = version === this.scenario.options.steps && saved;
    const silentSince = this.coordinator.now() - 2 * HEARTBEAT.timeoutMs;
    if (this.calm && this.clock.now - this.calmSince > 3 * HEARTBEAT.timeoutMs)
      for (const { lastHeard } of this.coordinator.host.machine.state.sessions)
        assert.ok(lastHeard > silentSince, 'who is silent does not stay a member');
    const { coordinator } = this;
    this.clock.after(100, () => {
      if (isDone) this.isComplete = true;
      else if (this.coordinator === coordinator) this.restartCoordinator(false);
    });
  }

  /** Its end is seen by the workers at once, or not before they miss its answers. */
  private restartCoordinator(silently: boolean): void {
    this.coordinator.kill();
    for (const wire of this.wires.values()) {
      if (silently) wire.vanish();
      else wire.cut();
    }
    this.wires.clear();
    const down = this.random.pick([10, 500, 8000]);
    const { term } = this;
    if (silently) this.disk.losePower();
    this.clock.after(down, () => {
      if (this.term === term) this.starting = this.startCoordinator();
    });
  }

  // ---- workers and their connections

  connect(worker: WorkerProcess, endpoint: number, session: Session): Wire | undefined {
    const { coordinator, clock, random } = this;
    if (!coordinator.isAlive) return undefined;
    const peer = `peer${this.names++}`;
    const wire: Wire = new Connection(
      peer,
      endpoint,
      clock,
      random,
      {
        process: coordinator,
        hear: (message, payload) => {
          this.trace(() => `${worker.name} → ${nameOf(endpoint)}: ${brief(message)}`);
          if (!this.calm) this.oldMessages.note({ peer, endpoint, message, payload });
          coordinator.hear(endpoint, peer, message, payload);
        },
        lost: () => {
          this.wires.delete(peer);
          coordinator.host.disconnected(endpoint, peer);
        },
      },
      {
        process: worker,
        hear: (message, payload) => {
          this.trace(() => `${nameOf(endpoint)} → ${worker.name}: ${brief(message)}`);
          if (endpoint === CONTROL) session.host.hearControl({ ...message, payload } as never);
          else session.host.hearData(endpoint, { ...message, payload } as never);
        },
        lost: () => session.host.lost('its connection ended'),
      },
      worker.route,
    );
    if (this.scenario.tampering) {
      wire.up.tamper = () => this.tamper();
      wire.down.tamper = wire.up.tamper;
    }
    this.wires.set(peer, wire);
    return wire;
  }

  private tamper(): Tampering | undefined {
    if (this.calm || !this.random.chance(0.003)) return undefined;
    this.count('message tampered with');
    return this.random.pick(['drop', 'double', 'exchange']);
  }

  joinWorker(): void {
    if (this.workers.filter(({ isAlive, hangs }) => isAlive && !hangs).length >= MOST_WORKERS) return;
    const worker = new WorkerProcess(`worker${this.names++}`, this);
    this.trace(() => `${worker.name} starts`);
    this.workers.push(worker);
  }

  private someWorker(): WorkerProcess | undefined {
    const alive = this.workers.filter(({ isAlive }) => isAlive);
    return alive.length > 0 ? this.random.pick(alive) : undefined;
  }

  // ---- what goes wrong

  private planFault(): void {
    const { faultsPerSecond } = this.scenario;
    const pause = (-Math.log(1 - this.random.next()) * 1000) / faultsPerSecond;
    this.clock.after(pause, () => {
      if (this.calm) return;
      const { name, happen } = nextFault(this.random);
      this.count(name);
      happen(this, this.random);
      this.planFault();
    });
  }

  /** From here on nothing new goes wrong, and what was cut or stopped goes on. */
  private calmDown(): void {
    this.trace(() => 'faults cease');
    this.calm = true;
    this.calmSince = this.clock.now;
    this.lastProgressAt = this.clock.now;
    this.coordinator.dieAfter(Infinity);
    this.coordinator.thaw(true);
    for (const worker of this.workers) {
      worker.thaw(true);
      worker.route.up = worker.route.down = false;
      worker.slow(this.random.pick([1, 1, 5]));
    }
    for (const wire of [...this.wires.values()]) {
      wire.resume();
      if (wire.tampered) wire.cut();
    }
    // One that hangs may hang for ever, as long as there is another.
    if (!this.workers.some((worker) => worker.isAlive && !worker.hangs)) this.joinWorker();
  }

  killWorker(silently: boolean): void {
    const worker = this.someWorker();
    if (worker) this.killProcess(worker, silently);
  }

  private killProcess(worker: WorkerProcess, silently: boolean): void {
    this.trace(() => `${worker.name} dies${silently ? ' silently' : ''}`);
    const wires = worker.connections;
    worker.kill();
    for (const wire of wires) {
      if (silently) wire.vanish();
      else wire.cut();
    }
    // A supervisor, or somebody, starts another.
    if (this.random.chance(0.8))
      this.clock.after(this.random.pick([100, 1000, 10_000]), () => this.joinWorker());
  }

  leaveWorker(): void {
    const worker = this.someWorker();
    this.trace(() => `${worker?.name} is asked to leave`);
    worker?.leave();
  }

  freezeWorker(ms: number): void {
    const worker = this.someWorker();
    if (worker) this.freeze(worker, ms);
  }

  freezeCoordinator(ms: number): void {
    this.freeze(this.coordinator, ms);
  }

  private freeze(process: WorkerProcess | CoordinatorProcess, ms: number): void {
    if (!process.isAlive || process.isFrozen) return;
    this.trace(() => `${process.name} stands still for ${ms} ms`);
    process.freeze();
    this.clock.after(ms, () => {
      this.trace(() => `${process.name} goes on`);
      process.thaw(this.random.chance(0.5));
    });
  }

  hangWorker(): void {
    const worker = this.someWorker();
    this.trace(() => `${worker?.name}'s compute thread hangs`);
    worker?.hang();
  }

  slowWorker(slowness: number): void {
    const worker = this.someWorker();
    this.trace(() => `${worker?.name} computes ${slowness} times as long`);
    worker?.slow(slowness);
  }

  leapWorker(ms: number): void {
    const worker = this.someWorker();
    this.trace(() => `${worker?.name}'s clock leaps ${ms} ms`);
    worker?.leap(ms);
  }

  leapCoordinator(ms: number): void {
    this.trace(() => `the coordinator's clock leaps ${ms} ms`);
    this.coordinator.leap(ms);
  }

  cutConnection(): void {
    const wires = [...this.wires.values()].filter(({ isOpen }) => isOpen);
    if (wires.length === 0) return;
    const wire = this.random.pick(wires);
    this.trace(() => `a connection to ${nameOf(wire.endpoint)} breaks`);
    wire.cut();
  }

  cutRoute(up: boolean, down: boolean, ms: number): void {
    const worker = this.someWorker();
    if (worker) this.cutOff(worker, up, down, ms);
  }

  cutAllRoutes(ms: number): void {
    for (const worker of this.workers) if (worker.isAlive) this.cutOff(worker, true, true, ms);
  }

  private cutOff(worker: WorkerProcess, up: boolean, down: boolean, ms: number): void {
    const { route } = worker;
    if (route.up || route.down) return;
    this.trace(
      () => `${worker.name} is cut off${up ? '' : ' one way'}${down ? '' : ' the other way'} for ${ms} ms`,
    );
    route.up = up;
    route.down = down;
    const before = worker.connections;
    const socketsNotice = this.random.chance(0.7);
    if (ms > SOCKET_TIMEOUT_MS && socketsNotice)
      this.clock.after(SOCKET_TIMEOUT_MS, () => {
        if (route.up || route.down) for (const wire of before) wire.cut();
      });
    this.clock.after(ms, () => {
      route.up = route.down = false;
      for (const wire of this.wires.values()) wire.resume();
    });
  }

  killCoordinator(silently: boolean): void {
    if (!this.coordinator.isAlive) return;
    this.trace(() => 'the coordinator dies');
    this.restartCoordinator(silently);
  }

  killCoordinatorAmidDecisions(decisions: number): void {
    if (!this.coordinator.isAlive) return;
    const { coordinator } = this;
    coordinator.dieAfter(decisions);
    const watch = (): void => {
      if (this.coordinator !== coordinator) return;
      if (coordinator.isAlive) {
        if (!this.calm) this.clock.after(20, watch);
      } else {
        this.trace(() => 'the coordinator has died amid its decisions');
        this.restartCoordinator(false);
      }
    };
    watch();
  }

  stopCoordinator(): void {
    this.trace(() => 'the coordinator is asked to stop');
    this.coordinator.stop();
  }

  /** Something that was said in another session, or in another term, is said again by a stranger or by somebody known. */
  replayOldMessage(): void {
    const old = this.oldMessages.pick();
    if (!old || !this.coordinator.isAlive) return;
    const { peer, endpoint, message, payload } = old;
    const wires = [...this.wires.values()].filter(
      (wire) => wire.endpoint === endpoint && wire.isOpen && wire.peer !== peer,
    );
    const to = wires.length > 0 && this.random.chance(0.5) ? this.random.pick(wires).peer : 'stranger';
    if (endpoint >= this.coordinator.slices.length) return;
    this.trace(() => `${to} repeats ${brief(message)} to ${nameOf(endpoint)}`);
    const { coordinator } = this;
    coordinator.run(() => coordinator.hear(endpoint, to, message, payload));
  }
}
