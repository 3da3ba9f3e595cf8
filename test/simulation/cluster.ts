// A whole simulated cluster: its coordinators, workers, the connections between them, virtual time, and what goes wrong. All
// of it is a pure function of the scenario's seed.
import assert from 'node:assert/strict';
import { CONTROL } from '../../src/simulation/coordinator-host.js';
import { VirtualClock } from '../../src/simulation/clock.js';
import { furnish } from './checkpoints.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import { Coordinators } from './coordinators.js';
import { allMicrotasks, Disk } from './disk.js';
import { nextFault, type Victims } from './faults.js';
import { Connection, type Tampering } from './network.js';
import { Random } from './random.js';
import { Reference } from './reference.js';
import type { Scenario } from './scenario.js';
import { OldMessages } from './old-messages.js';
import type { Wire } from './wire.js';
import { brief, nameOf } from './trace.js';
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
  private readonly coordinators: Coordinators;
  private readonly workers: WorkerProcess[] = [];
  private readonly oldMessages: OldMessages;
  private calm = false;
  private calmSince = Infinity;
  private names = 0;
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
    this.coordinators = new Coordinators(this);
  }

  /** Runs to the end; throws where something does not hold. */
  async run(): Promise<void> {
    const { scenario, clock, disk, coordinators } = this;
    await coordinators.start();
    if (scenario.troubledMs > 0) {
      this.planFault();
      clock.after(scenario.troubledMs, () => this.calmDown());
    } else this.calm = true;
    while (!coordinators.hasEnded) {
      assert.ok(clock.next(), 'something is always planned');
      await coordinators.started();
      if (disk.hasNews) {
        disk.hasNews = false;
        await allMicrotasks();
      }
      if (coordinators.violation) throw coordinators.violation.error;
      assert.ok(++this.events < MOST_EVENTS, 'the run comes to an end');
      if (!this.calm) continue;
      const waited = clock.now - coordinators.lastProgressAt;
      assert.ok(waited < PATIENCE_MS, `term ${coordinators.term} is stuck for ${waited / 1000} s`);
    }
    await coordinators.checkEnd();
  }

  /** How long nothing new has gone wrong. */
  get calmMs(): number {
    return this.calm ? this.clock.now - this.calmSince : 0;
  }

  private get coordinator(): CoordinatorProcess {
    return this.coordinators.current;
  }

  private get wires(): Wire[] {
    return this.coordinators.wires;
  }

  trace(line: () => string): void {
    this.onTrace?.(this.clock.now, line());
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
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
          coordinator.wires.delete(peer);
          coordinator.host.disconnected(endpoint, peer);
        },
      },
      {
        process: worker,
        hear: (message, payload) => {
          this.trace(() => `${nameOf(endpoint)} → ${worker.name}: ${brief(message)}`);
          if (endpoint === CONTROL) session.conversation.hear({ ...message, payload } as never);
          else session.conversation.hearReducer(endpoint, { ...message, payload } as never);
        },
        lost: () => session.conversation.lost('its connection ended'),
      },
      worker.route,
    );
    if (this.scenario.tampering) {
      wire.up.tamper = () => this.tamper();
      wire.down.tamper = wire.up.tamper;
    }
    coordinator.wires.set(peer, wire);
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
      const { name, happen } = nextFault(this.random, this.scenario);
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
    this.coordinators.calmDown();
    for (const worker of this.workers) {
      worker.thaw(true);
      worker.route.up = worker.route.down = false;
      worker.slow(this.random.pick([1, 1, 5]));
    }
    for (const wire of this.wires) {
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

  /** Somebody sees to it that there are workers. */
  staffUp(): void {
    if (this.workers.some(({ isAlive }) => isAlive)) return;
    for (let i = 0; i < this.scenario.workers; i++) this.joinWorker();
  }

  refused(worker: WorkerProcess): void {
    this.trace(() => `${worker.name} is not wanted`);
    this.clock.after(1000, () => this.joinWorker());
  }

  /** While two others are there who are right, and work. */
  corruptWorker(): void {
    const worker = this.someWorker();
    const { sessions } = this.coordinator.host.machine.state;
    const right = sessions.filter(({ name, state }) => state === 'ready' && !this.isWrong(name));
    if (!worker || right.length < 3) return;
    this.trace(() => `${worker.name} computes wrongly from now on`);
    worker.corrupt(1 + this.names++);
  }

  /** Somebody takes out the workers that cannot be trusted. */
  removeWrongWorkers(): void {
    for (const worker of this.workers) if (worker.isAlive && worker.isWrong) this.killProcess(worker, false);
    this.clock.after(1000, () => this.joinWorker());
  }

  isWrong(name: string): boolean {
    return this.workers.some((worker) => worker.name === name && worker.isWrong);
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
    const wires = this.wires.filter(({ isOpen }) => isOpen);
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
      for (const wire of this.wires) wire.resume();
    });
  }

  killCoordinator(silently: boolean): void {
    if (!this.coordinator.isAlive) return;
    this.trace(() => 'the coordinator dies');
    this.coordinators.restart(silently);
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
        this.coordinators.restart(false);
      }
    };
    watch();
  }

  supersedeCoordinator(ms: number): void {
    if (this.coordinator.isFrozen || !this.coordinator.isAlive) return;
    this.coordinators.supersedeDuring(ms);
    this.freeze(this.coordinator, ms);
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
    const wires = [...this.coordinator.wires.values()].filter(
      (wire) => wire.endpoint === endpoint && wire.isOpen && wire.peer !== peer,
    );
    const to = wires.length > 0 && this.random.chance(0.5) ? this.random.pick(wires).peer : 'stranger';
    if (endpoint >= this.coordinator.slices.length) return;
    this.trace(() => `${to} repeats ${brief(message)} to ${nameOf(endpoint)}`);
    const { coordinator } = this;
    coordinator.run(() => coordinator.hear(endpoint, to, message, payload));
  }
}
