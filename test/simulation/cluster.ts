// A whole simulated cluster: one coordinator, some workers, the network between them, a clock, and what goes wrong.
// Everything that happens is chosen by a seeded generator, one event after another.
import { NOTHING_DONE } from '../../src/protocol/messages.js';
import assert from 'node:assert/strict';
import { CoordinatorNode } from './coordinator-node.js';
import { Network } from './network.js';
import { Random } from './random.js';
import { bitsOf } from './arithmetic.js';
import { initial, type Saved, type Scenario } from './scenario.js';
import { WorkerNode } from './worker-node.js';

const TICK_MS = 250;
/** Without further faults no step takes longer: a lease of 16 micro-batches, when one took 40 s, expires after 85 min. */
const PATIENCE_MS = 6_000_000;
const MOST_WORKERS = 8;

export class Cluster {
  readonly random: Random;
  private readonly network: Network;
  private readonly workers = new Map<string, WorkerNode | undefined>();
  private coordinator!: CoordinatorNode;
  private saved: Saved;
  private isSaved = false;
  private now = 0;
  private nextTickAt = 0;
  private lastCommitAt = 0;
  private nextStep = 0;
  private nextSession = 1;
  private term = 0;
  private hasEnded = false;
  private calm = false;
  leasesDuplicated = 0;
  /** Bits of the parameters of every version that was saved. */
  readonly versions: string[] = [];

  /** @param history bits of the parameters by version, if known */
  constructor(
    private readonly scenario: Scenario,
    private readonly history: readonly string[] = [],
  ) {
    this.random = new Random(scenario.seed);
    this.network = new Network(this.random);
    this.saved = initial(scenario);
    this.versions[0] = bitsOf(this.saved.parameters);
  }

  /** Runs to the end; returns what the last checkpoint holds. */
  run(): Saved {
    this.restart();
    for (let event = 0; !this.isComplete; event++) {
      this.calm = event >= this.scenario.troubledEvents;
      if (this.hasEnded) this.restart();
      if (!this.calm) this.trouble();
      this.step();
      if (this.calm && [...this.workers.values()].every((worker) => worker?.isHung)) this.join();
      assert.ok(
        this.now - this.lastCommitAt < PATIENCE_MS,
        `stuck in step ${this.nextStep} of term ${this.term}`,
      );
    }
    return this.saved;
  }

  private get isComplete(): boolean {
    return this.hasEnded && this.saved.progress.version === this.scenario.steps;
  }

  private step(): void {
    const links = this.network.busy;
    const computing = [...this.workers.values()].filter((worker) => worker?.isComputing);
    const choice = this.random.below(links.length + computing.length);
    if (links.length + computing.length === 0) this.now = this.nextTickAt;
    else if (choice < links.length) this.network.deliver(links[choice]!);
    else computing[choice - links.length]!.compute();
    this.now++;
    if (this.now >= this.nextTickAt) this.tick();
  }

  private tick(): void {
    this.nextTickAt = this.now + TICK_MS;
    const { coordinator } = this;
    for (const session of this.workers.keys()) {
      const event = { type: 'heartbeat', session, sequence: 0, report: NOTHING_DONE } as const;
      this.network.send(session, 'coordinator', () => coordinator.decide(event), ' control');
    }
    coordinator.decide({ type: 'tick' });
  }

  // ---- what goes wrong

  private trouble(): void {
    const { random } = this;
    if (random.chance(0.004) && this.workers.size > 0) this.kill(random.pick([...this.workers.keys()]));
    if (random.chance(0.006) && this.workers.size < MOST_WORKERS) this.join();
    if (random.chance(0.001)) random.pick([...this.workers.values()])?.hang();
    if (random.chance(0.0007)) this.restart();
    if (random.chance(0.0003)) this.coordinator.decide({ type: 'stop' });
    if (random.chance(0.002)) this.now += random.pick([500, 3000, 10_000, 40_000]);
    this.lastCommitAt = this.now;
  }

  private kill(session: string): void {
    const { coordinator } = this;
    this.workers.delete(session);
    this.network.kill(session, (peer) => {
      if (peer === 'coordinator') return () => coordinator.lose(session);
      return () => this.network.send(peer, 'coordinator', () => coordinator.lose(session), ' thread');
    });
  }

  /** The coordinator dies, or has ended; another goes on from the last checkpoint, and the workers come back. */
  private restart(): void {
    const count = this.term === 0 ? this.scenario.workers : this.workers.size;
    this.network.clear();
    this.workers.clear();
    this.hasEnded = false;
    this.term++;
    this.nextStep = this.saved.progress.version;
    this.lastCommitAt = this.now;
    this.coordinator = new CoordinatorNode(this.term, this.saved, this.isSaved, {
      scenario: this.scenario,
      random: this.random,
      now: () => this.now,
      toWorker: (action) => this.network.send('coordinator', action.session, () => this.tell(action)),
      reducerToWorker: (reducer, { session, message, payload }) => {
        const values = payload ?? new Uint8Array(0);
        this.network.send(`reducer${reducer}`, session, () =>
          this.workers.get(session)?.hear(reducer, message, values),
        );
      },
      toReducer: (reducer, deliver) =>
        this.network.send('coordinator', `reducer${reducer}`, deliver, ' thread'),
      fromReducer: (reducer, deliver) =>
        this.network.send(`reducer${reducer}`, 'coordinator', deliver, ' thread'),
      fromDisk: (deliver) => this.network.send('disk', 'coordinator', deliver),
      committed: (step) => this.committed(step),
      published: (saved) => this.published(saved),
      finished: () => (this.hasEnded = true),
      leaseDuplicated: () => this.leasesDuplicated++,
    });
    for (let i = 0; i < count; i++) this.join();
  }

  // ---- what happens

  private join(): void {
    const session = `worker${this.nextSession++}`;
    const { coordinator } = this;
    this.workers.set(session, undefined);
    this.network.send(session, 'coordinator', () => coordinator.greet(session), ' control');
  }

  private tell(action: Parameters<ConstructorParameters<typeof CoordinatorNode>[3]['toWorker']>[0]): void {
    const { session } = action;
    if (!this.workers.has(session)) return; // killed meanwhile
    const worker = this.workers.get(session);
    if (action.type === 'welcome') this.welcome(session);
    else if (action.type === 'lease') worker?.lease(action.node);
    else if (action.type === 'evaluate') worker?.evaluate(action.version, action.index);
    else if (action.type === 'recall') worker?.recall(action.node);
    else {
      this.kill(session); // its session is over; it comes back with a new one
      this.join();
    }
  }

  private welcome(session: string): void {
    const { coordinator, network, scenario } = this;
    const toCoordinator = (deliver: () => void): void =>
      network.send(session, 'coordinator', deliver, ' control');
    const worker = new WorkerNode(session, coordinator.term, coordinator.slices, {
      scenario,
      random: this.random,
      now: () => this.now,
      expected: (version) => this.history[version],
      toReducer: (reducer, message, payload) =>
        network.send(session, `reducer${reducer}`, () =>
          coordinator.hearWorker(reducer, session, message, payload()),
        ),
      toCoordinator: ({ task, stats, seconds }) =>
        toCoordinator(() => {
          if (task.kind === 'node')
            coordinator.decide({ type: 'computed', session, node: task.node, stats, seconds });
          else {
            const { version, index } = task;
            coordinator.decide({ type: 'evaluated', session, version, index, stats: stats[0]! });
          }
        }),
      later: (lane, deliver) => network.send(session, session, deliver, ` ${lane}`),
    });
    this.workers.set(session, worker);
    coordinator.slices.forEach((_, reducer) => {
      network.send(session, `reducer${reducer}`, () =>
        coordinator.hearWorker(
          reducer,
          session,
          { type: 'attach', session, term: coordinator.term },
          new Uint8Array(0),
        ),
      );
    });
    toCoordinator(() => coordinator.decide({ type: 'ready', session, fingerprint: 'same' }));
  }

  // ---- what must hold

  private committed(step: number): void {
    assert.equal(step, this.nextStep, 'steps are committed one after another, each once');
    this.nextStep = step + 1;
    this.lastCommitAt = this.now;
  }

  private published(saved: Saved): void {
    const { version } = saved.progress;
    const expected = this.history[version];
    if (expected !== undefined)
      assert.equal(bitsOf(saved.parameters), expected, `checkpoint of version ${version}`);
    this.versions[version] = bitsOf(saved.parameters);
    this.saved = saved;
    this.isSaved = true;
  }
}
