// A simulated coordinator process: the real coordinator and reducers, which share the parameters as threads do, and
// what process.ts does around them. Killing it loses all of it but what was published as a checkpoint.
import assert from 'node:assert/strict';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import type { CoordinatorAction, CoordinatorEvent } from '../../src/coordinator/events.js';
import { Reducer, type ReducerAction, type ReducerEvent } from '../../src/coordinator/reducer/reducer.js';
import type { Slice } from '../../src/protocol/chunks.js';
import type { WorkerToReducer } from '../../src/protocol/messages.js';
import { arithmetic } from './arithmetic.js';
import type { Random } from './random.js';
import type { Saved, Scenario } from './scenario.js';

type ToWorker = CoordinatorAction & { type: 'welcome' | 'lease' | 'evaluate' | 'recall' | 'dismiss' };

export interface CoordinatorSurroundings {
  readonly scenario: Scenario;
  readonly random: Random;
  now(): number;
  toWorker(action: ToWorker): void;
  reducerToWorker(reducer: number, action: ReducerAction & { type: 'send' }): void;
  /** Between the coordinator's threads: in order, later. */
  toReducer(reducer: number, deliver: () => void): void;
  fromReducer(reducer: number, deliver: () => void): void;
  fromDisk(deliver: () => void): void;
  committed(step: number): void;
  published(saved: Saved): void;
  finished(): void;
  leaseDuplicated(): void;
}

export class CoordinatorNode {
  readonly slices: readonly Slice[];
  private readonly machine: Coordinator;
  private readonly reducers: readonly Reducer[];
  private readonly memory: Saved;
  private readonly open: readonly Set<string>[];
  private readonly closed = new Set<string>();
  /** What workers said to a reducer that the coordinator has not told of them yet. */
  private readonly early: { reducer: number; session: string; event: ReducerEvent }[] = [];
  private snapshot: Saved | undefined;

  constructor(
    readonly term: number,
    saved: Saved,
    isSaved: boolean,
    private readonly around: CoordinatorSurroundings,
  ) {
    const { grid, tree, wire, steps, checkpointEvery, evaluate } = around.scenario;
    const copy = { ...saved, parameters: saved.parameters.slice(), moment1: saved.moment1.slice() };
    this.memory = { ...copy, moment2: saved.moment2.slice() };
    this.slices = grid.slices(around.scenario.reducers);
    const half = Math.floor(grid.trainable / 2);
    this.reducers = this.slices.map(
      (slice) =>
        new Reducer({
          ...this.memory,
          grid,
          slice,
          segments: [
            { start: 0, end: half, decay: true },
            { start: half, end: grid.trainable, decay: false },
          ],
          term,
          microBatches: tree.leaves,
          wire,
          version: saved.progress.version,
          arithmetic,
        }),
    );
    this.open = this.slices.map(() => new Set());
    const options = {
      steps,
      microBatches: tree.leaves,
      reducers: this.slices.length,
      optimizer: {
        learningRate: 0.01,
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-9,
        weightDecay: 0.1,
        clipNorm: 1,
        schedule: { kind: 'constant', warmupSteps: 2 },
      },
      evaluate,
      checkpointEvery,
      hardware: 'strict',
      heartbeat: { intervalMs: 1000, timeoutMs: 5000 },
    } as const;
    this.machine = new Coordinator(options, saved.progress, isSaved);
    this.perform(this.machine.start(around.now()));
  }

  decide(event: CoordinatorEvent): void {
    this.perform(this.machine.handle(event, this.around.now()));
  }

  greet(session: string): void {
    this.tellReducers(() => ({ type: 'open', session }));
    this.decide({ type: 'hello', session, name: session, host: 'here' });
  }

  lose(session: string): void {
    this.close(session);
    this.decide({ type: 'gone', session, reason: 'disconnected', detail: 'killed' });
  }

  hearWorker(reducer: number, session: string, message: WorkerToReducer, payload: Uint8Array): void {
    const event: ReducerEvent = { type: 'message', session, message: { ...message, payload } };
    if (this.open[reducer]!.has(session)) this.reduce(reducer, event);
    else if (!this.closed.has(`${reducer}/${session}`)) this.early.push({ reducer, session, event });
  }

  // ---- the coordinator's actions

  private perform(actions: readonly CoordinatorAction[]): void {
    for (const action of actions) this.performOne(action);
  }

  private performOne(action: CoordinatorAction): void {
    switch (action.type) {
      case 'dismiss':
        this.around.toWorker(action);
        this.close(action.session);
        break;
      case 'lease':
        this.tellReducers(() => action);
        this.around.toWorker(action);
        break;
      case 'welcome':
      case 'evaluate':
      case 'recall':
        this.around.toWorker(action);
        break;
      case 'commit':
        this.around.committed(action.step);
        this.tellReducers(() => action);
        break;
      case 'begin':
        this.tellReducers(() => action);
        break;
      case 'snapshot':
        this.save(action.progress.version);
        break;
      case 'publish':
        this.publish(action);
        break;
      case 'finish':
        this.around.finished();
        break;
      case 'event':
        if (action.event.kind === 'leaseDuplicated') this.around.leaseDuplicated();
        break;
      case 'heartbeat':
      case 'log':
        break;
      default:
        action satisfies never;
    }
  }

  private close(session: string): void {
    this.tellReducers(() => ({ type: 'close', session }));
  }

  private tellReducers(event: () => ReducerEvent): void {
    for (let reducer = 0; reducer < this.reducers.length; reducer++) {
      this.around.toReducer(reducer, () => this.reduce(reducer, event()));
    }
  }

  // ---- the reducers

  private reduce(reducer: number, event: ReducerEvent): void {
    if (event.type === 'open') this.open[reducer]!.add(event.session);
    if (event.type === 'close') {
      this.open[reducer]!.delete(event.session);
      this.closed.add(`${reducer}/${event.session}`);
    }
    for (const action of this.reducers[reducer]!.handle(event)) this.performReducer(reducer, action);
    if (event.type !== 'open') return;
    for (const early of this.early) {
      if (early.reducer === reducer && early.session === event.session) this.reduce(reducer, early.event);
    }
  }

  private performReducer(reducer: number, action: ReducerAction): void {
    const { around } = this;
    if (action.type === 'send') around.reducerToWorker(reducer, action);
    else if (action.type === 'covered') around.fromReducer(reducer, () => this.decide(action));
    else if (action.type === 'root') around.fromReducer(reducer, () => this.decide({ ...action, reducer }));
    else if (action.type === 'fault') assert.fail(`${action.session} ${action.reason}`);
  }

  // ---- checkpoints

  private save(version: number): void {
    const { grid } = this.around.scenario;
    const { parameters, moment1, moment2, progress } = this.memory;
    const blank = (values: Float32Array): Float32Array => new Float32Array(values.length).fill(NaN);
    const into = {
      progress,
      parameters: blank(parameters),
      moment1: blank(moment1),
      moment2: blank(moment2),
    };
    this.snapshot = into;
    this.slices.forEach(({ firstChunk, endChunk }, reducer) => {
      const [start, end] = [grid.start(firstChunk), grid.start(endChunk)];
      this.around.toReducer(reducer, () => {
        into.parameters.set(parameters.subarray(start, end), start);
        if (start < grid.trainable) {
          into.moment1.set(moment1.subarray(start, end), start);
          into.moment2.set(moment2.subarray(start, end), start);
        }
        this.around.fromReducer(reducer, () => this.decide({ type: 'sliceWritten', version }));
      });
    });
  }

  private publish({ progress }: CoordinatorAction & { type: 'publish' }): void {
    const saved = this.around.scenario.troubledEvents === 0 || this.around.random.chance(0.9);
    const { snapshot } = this;
    this.around.fromDisk(() => {
      if (saved) this.around.published({ ...snapshot!, progress });
      this.decide({ type: 'checkpointEnded', version: progress.version, saved });
    });
  }
}
