// A cluster that trains in virtual time, without faults: the product's own state machines, connected by a network of limited
// bandwidth, on threads whose work takes time. It tells how long steps take.
import type { CoordinatorAction } from '../coordinator/events.js';
import { bytesPerElement } from '../protocol/job.js';
import { VirtualClock } from './clock.js';
import { CONTROL } from './coordinator-host.js';
import { Link } from './links.js';
import { gridsOf, type ClusterPlan, type Grids } from './plan.js';
import { Channel } from './resources.js';
import { VirtualCoordinator } from './virtual-coordinator.js';
import { VirtualWorker } from './virtual-worker.js';
import type { FromWorker, ToWorker } from './wire.js';

/** Of a message beside what it carries: headers of all layers. */
const HEADER_BYTES = 300;
const FLOAT32_BYTES = 4;

/** Steps may differ by this part of them, and are still as long as each other. */
const EQUAL_ENOUGH = 0.01;
const MOST_STEPS = 8;

/** One network interface. */
class Interface {
  readonly in: Channel;
  readonly out: Channel;

  constructor(bytesPerSecond: number) {
    this.in = new Channel(1000 / bytesPerSecond);
    this.out = new Channel(1000 / bytesPerSecond);
  }
}

/** One connection of a worker. */
interface Connection {
  readonly worker: VirtualWorker;
  readonly endpoint: number;
  readonly up: Link;
  readonly down: Link;
}

/** What some steps took, and how long what was busy meanwhile. */
export interface Measured {
  readonly steps: number;
  readonly stepMs: number;
  readonly busyMs: {
    readonly networkIn: number;
    readonly networkOut: number;
    readonly io: number;
    readonly main: number;
    /** The busiest, and all together. */
    readonly reducer: number;
    readonly reducers: number;
    /** The busiest interface of a workers' host. */
    readonly workerNetwork: number;
    /** All workers together. */
    readonly compute: number;
  };
  /** Leases that were computed a second time. */
  readonly duplicates: number;
}

export class VirtualCluster {
  private readonly clock = new VirtualClock();
  private readonly grids: Grids;
  private readonly coordinator: VirtualCoordinator;
  private readonly network: Interface;
  private readonly io: Channel;
  private readonly hosts: readonly Interface[];
  private readonly workers: readonly VirtualWorker[];
  private readonly connections = new Map<string, Connection>();
  private committed = 0;
  private duplicates = 0;

  constructor(private readonly plan: ClusterPlan) {
    const { clock } = this;
    this.grids = gridsOf(plan);
    this.network = new Interface(plan.coordinatorBytesPerSecond);
    this.io = new Channel(1000 / plan.costs.ioBytesPerSecond);
    const hosts = Math.ceil(plan.workers / plan.workersPerHost);
    this.hosts = Array.from({ length: hosts }, () => new Interface(plan.workerBytesPerSecond));
    const world = { clock, plan, grids: this.grids };
    this.coordinator = new VirtualCoordinator({
      ...world,
      send: (endpoint, peer, message, payload) => this.sendDown(peer, message, payload),
      decided: (action) => this.decided(action),
    });
    this.coordinator.start();
    this.workers = Array.from(
      { length: plan.workers },
      (_, i) =>
        new VirtualWorker(String(i), {
          ...world,
          connect: (worker, endpoint) => this.connect(worker, endpoint),
          send: (worker, endpoint, message, payload) => this.sendUp(worker, endpoint, message, payload),
        }),
    );
  }

  /**
   * What a step takes once the coordinator knows how fast its workers are and how long gradients wait: in the first steps it
   * does not, and has leases computed twice. Where steps go on to differ, the mean of some.
   */
  settled(): Measured {
    let before = this.train(1);
    for (let i = 1; i < MOST_STEPS; i++) {
      const step = this.train(1);
      if (step.duplicates === 0 && Math.abs(step.stepMs / before.stepMs - 1) < EQUAL_ENOUGH) return step;
      before = step;
    }
    return this.train(MOST_STEPS);
  }

  /** Trains some more steps, and tells what one of them took on average. */
  train(steps: number): Measured {
    const before = this.totals();
    this.reach(this.committed + steps);
    const after = this.totals();
    const each = <K extends keyof typeof before>(key: K): number => (after[key] - before[key]) / steps;
    return {
      steps,
      stepMs: each('now'),
      busyMs: {
        networkIn: each('networkIn'),
        networkOut: each('networkOut'),
        io: each('io'),
        main: each('main'),
        reducer: each('reducer'),
        reducers: each('reducers'),
        workerNetwork: each('workerNetwork'),
        compute: each('compute'),
      },
      duplicates: each('duplicates'),
    };
  }

  private reach(steps: number): void {
    while (this.committed < steps) this.clock.next();
  }

  private totals() {
    const { network, io, coordinator, workers, hosts } = this;
    const reducers = coordinator.reducers.map(({ busyMs }) => busyMs);
    return {
      now: this.clock.now,
      networkIn: network.in.busyMs,
      networkOut: network.out.busyMs,
      io: io.busyMs,
      main: coordinator.main.busyMs,
      reducer: Math.max(...reducers),
      reducers: sum(reducers),
      workerNetwork: Math.max(...hosts.map((host) => Math.max(host.in.busyMs, host.out.busyMs))),
      compute: sum(workers.map(({ computeMs }) => computeMs)),
      duplicates: this.duplicates,
    };
  }

  private decided(action: CoordinatorAction): void {
    if (action.type === 'commit') this.committed++;
    if (action.type === 'event' && action.event.kind === 'leaseDuplicated') this.duplicates++;
  }

  // ---- connections

  private connect(worker: VirtualWorker, endpoint: number): void {
    const { clock, network, io, plan } = this;
    const { latencyMs } = plan;
    const host = this.hosts[Math.floor(Number(worker.name) / plan.workersPerHost)]!;
    const up = new Link(clock, { channels: [host.out, network.in, io], wire: 1, latencyMs });
    const down = new Link(clock, { channels: [io, network.out, host.in], wire: 2, latencyMs });
    this.connections.set(peerOf(worker, endpoint), { worker, endpoint, up, down });
  }

  private sendUp(worker: VirtualWorker, endpoint: number, message: FromWorker, payload: Uint8Array): void {
    const peer = peerOf(worker, endpoint);
    this.connections
      .get(peer)!
      .up.send(this.bytesOf(message), () => this.coordinator.hear(endpoint, peer, message, payload));
  }

  private sendDown(peer: string, message: ToWorker, payload: Uint8Array): void {
    const { worker, endpoint, down } = this.connections.get(peer)!;
    down.send(this.bytesOf(message), () => worker.hear(endpoint, message, payload));
  }

  private bytesOf(message: FromWorker | ToWorker): number {
    const { real } = this.grids;
    if (message.type === 'parameters') return HEADER_BYTES + real.elements(message.chunk) * FLOAT32_BYTES;
    if (message.type !== 'chunk') return HEADER_BYTES;
    return HEADER_BYTES + real.gradientElements(message.chunk) * bytesPerElement(this.plan.wire);
  }
}

function peerOf(worker: VirtualWorker, endpoint: number): string {
  return `${worker.name}/${endpoint === CONTROL ? 'control' : endpoint}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
