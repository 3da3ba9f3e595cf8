// A coordinator process without sockets, disk or clock: the real state machines of coordinator and reducers, and between
// them what process.ts and reducer/thread.ts do. Messages are the protocol's, unencoded.
import { Coordinator } from '../coordinator/coordinator.js';
import type {
  CoordinatorAction,
  CoordinatorEvent,
  CoordinatorOptions,
  Progress,
} from '../coordinator/events.js';
import type { SessionMessage } from '../coordinator/reception.js';
import type { ReducerAction, ReducerEvent, ReducerOptions } from '../coordinator/reducer/events.js';
import { Peers } from '../coordinator/reducer/peers.js';
import { Reducer } from '../coordinator/reducer/reducer.js';
import {
  connectionEnded,
  controlMessage,
  eventOfReducer,
  eventOfWorker,
  goodbye,
  protocolBroken,
  taskMessage,
  workerLeft,
  type SessionEnding,
  type Speaker,
} from '../coordinator/translation.js';
import type { Slice } from '../protocol/chunks.js';
import { isOfSession, type Envelope } from '../protocol/envelope.js';
import type { Job } from '../protocol/job.js';
import type {
  CoordinatorToWorker,
  Received,
  ReducerToWorker,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../protocol/messages.js';
import { ReductionTree } from '../protocol/tree.js';

/** Where a connection ends, and what runs where: the coordinator's main thread, or a reducer by its number. */
export const CONTROL = -1;
export const NOTHING = new Uint8Array(0);

export interface CoordinatorSetup {
  readonly term: number;
  readonly job: Job;
  readonly options: CoordinatorOptions;
  readonly progress: Progress;
  readonly isSaved: boolean;
  readonly slices: readonly Slice[];
  readonly reducer: Omit<ReducerOptions, 'slice' | 'term' | 'microBatches' | 'version'>;
}

/** What the process is surrounded by. */
export interface CoordinatorSurroundings {
  now(): number;
  send(
    endpoint: number,
    peer: string,
    message: CoordinatorToWorker | ReducerToWorker,
    payload: Uint8Array,
  ): void;
  /** From one thread of the process to another: later, in order. */
  pass(from: number, to: number, deliver: () => void): void;
  newSession(): string;
  snapshot(version: number): void;
  publish(progress: Progress, validationLoss: number | null): void;
  finished(saved: boolean): void;
  failed(message: string): void;
  /** A decision that is about to be carried out. */
  decided(action: CoordinatorAction): void;
  /** A reducer is about to be told something, and has been. */
  reducing(reducer: number, event: ReducerEvent): void;
  reduced(reducer: number, event: ReducerEvent): void;
  /** A worker's control message is about to be acted on; `session`: the one of its connection. */
  speaking(session: string | undefined, message: Envelope): void;
  /** A worker broke the protocol. */
  faulted(session: string, reason: string): void;
}

export class CoordinatorHost {
  readonly machine: Coordinator;
  readonly reducers: readonly Reducer[];
  private readonly tree: ReductionTree;
  private readonly speaker: Speaker;
  private readonly sessionOf = new Map<string, string>(); // by peer; only what is listened to
  private readonly peerOf = new Map<string, string>(); // by session
  private readonly peers: readonly Peers[]; // by reducer
  private ended = false;

  constructor(
    readonly setup: CoordinatorSetup,
    private readonly around: CoordinatorSurroundings,
  ) {
    const { slices, term, job, options, progress, isSaved } = setup;
    const microBatches = options.microBatches;
    this.tree = new ReductionTree(microBatches);
    this.speaker = {
      term,
      run: '',
      runId: '',
      job,
      reducers: slices.map((slice) => ({ ...slice, url: '' })),
    };
    this.reducers = slices.map(
      (slice) => new Reducer({ ...setup.reducer, slice, term, microBatches, version: progress.version }),
    );
    this.peers = slices.map(() => new Peers(term));
    this.machine = new Coordinator(options, progress, isSaved);
  }

  start(): void {
    this.perform(this.machine.start(this.around.now()));
  }

  decide(event: CoordinatorEvent): void {
    if (this.ended) return;
    this.perform(this.machine.handle(event, this.around.now()));
  }

  // ---- what workers say

  hearControl(peer: string, message: Received<WorkerToCoordinator>): void {
    const session = this.sessionOf.get(peer);
    if (message.type === 'hello' || message.type === 'prove') {
      if (session !== undefined) this.fault(session, 'it has a session already');
      else if (message.type === 'hello') this.greet(peer, message);
    } else if (isOfSession(message, session, this.setup.term)) {
      this.around.speaking(session, message);
      this.hearWorker(message.session, message);
    } else this.tellPeer(peer, { type: 'bye', reason: 'the session is over', outcome: 'lost' });
  }

  private greet(peer: string, { name, host }: WorkerToCoordinator & { type: 'hello' }): void {
    const session = this.around.newSession();
    this.sessionOf.set(peer, session);
    this.peerOf.set(session, peer);
    this.tellReducers({ type: 'open', session });
    this.decide({ type: 'hello', session, name, host, key: null });
  }

  private hearWorker(session: string, message: SessionMessage): void {
    if (message.type === 'leave') this.lose(session, workerLeft(message.reason));
    else this.decide(eventOfWorker(session, message, Infinity));
  }

  hearData(reducer: number, peer: string, message: Received<WorkerToReducer>): void {
    const hearing = this.peers[reducer]!.hear(peer, message);
    if (hearing === 'accept') {
      this.reduce(reducer, { type: 'message', session: this.peers[reducer]!.sessionOf(peer)!, message });
    } else if (hearing !== 'drop') {
      this.around.send(reducer, peer, { type: 'refused', reason: hearing.refuse }, NOTHING);
    }
  }

  /** A worker's connection is gone. */
  disconnected(endpoint: number, peer: string): void {
    if (endpoint === CONTROL) {
      const session = this.sessionOf.get(peer);
      this.sessionOf.delete(peer);
      if (session !== undefined) this.lose(session, connectionEnded('coordinator'));
      return;
    }
    const session = this.peers[endpoint]!.disconnected(peer);
    if (session === undefined) return;
    this.around.pass(endpoint, CONTROL, () => this.lose(session, connectionEnded('reducer')));
  }

  private fault(session: string, reason: string): void {
    this.around.faulted(session, reason);
    this.lose(session, protocolBroken(reason));
  }

  private lose(session: string, { reason, detail, outcome }: SessionEnding): void {
    if (this.ended) return;
    this.tell(goodbye(detail, outcome), session);
    this.forget(session);
    this.decide({ type: 'gone', session, reason, detail });
  }

  private forget(session: string): void {
    this.tellReducers({ type: 'close', session });
    const peer = this.peerOf.get(session);
    if (peer !== undefined) this.sessionOf.delete(peer);
  }

  // ---- what the coordinator decides

  private perform(actions: readonly CoordinatorAction[]): void {
    for (const action of actions) {
      this.around.decided(action);
      this.performOne(action);
    }
  }

  private performOne(action: CoordinatorAction): void {
    const { around } = this;
    switch (action.type) {
      case 'welcome':
      case 'recall':
      case 'heartbeat':
        this.tell(controlMessage(action, this.speaker), action.session);
        break;
      case 'lease': {
        const { start, end } = this.tree.range(action.node);
        this.tellReducers(action);
        this.tellTask(action, end - start);
        break;
      }
      case 'evaluate':
        this.tellTask(action, 1);
        break;
      case 'dismiss':
        this.tell(goodbye(action.reason, action.outcome), action.session);
        this.forget(action.session);
        break;
      case 'begin':
      case 'commit':
        this.tellReducers(action);
        break;
      case 'snapshot':
        around.snapshot(action.progress.version);
        break;
      case 'publish':
        around.publish(action.progress, action.validationLoss);
        break;
      case 'finish':
        this.ended = true;
        around.finished(action.saved);
        break;
      case 'fail':
        this.ended = true;
        around.failed(action.message);
        break;
      case 'event':
      case 'log':
        break;
      default:
        action satisfies never;
    }
  }

  /** With samples of no size. */
  private tellTask(action: CoordinatorAction & { type: 'lease' | 'evaluate' }, microBatches: number): void {
    const shape = { microBatches, samples: microBatches, sequences: 1 } as const;
    this.tell(taskMessage(action, this.setup.term, shape), action.session);
  }

  private tell(message: CoordinatorToWorker, session: string): void {
    const peer = this.peerOf.get(session);
    if (peer !== undefined) this.tellPeer(peer, message);
  }

  private tellPeer(peer: string, message: CoordinatorToWorker): void {
    this.around.send(CONTROL, peer, message, NOTHING);
  }

  private tellReducers(event: ReducerEvent): void {
    for (let reducer = 0; reducer < this.reducers.length; reducer++) {
      this.around.pass(CONTROL, reducer, () => this.command(reducer, event));
    }
  }

  // ---- the reducers

  private command(reducer: number, event: ReducerEvent): void {
    const peers = this.peers[reducer]!;
    if (event.type === 'close') peers.closeSession(event.session);
    this.reduce(reducer, event);
    if (event.type !== 'open') return;
    for (const [peer, early] of peers.openSession(event.session)) this.hearData(reducer, peer, early);
  }

  private reduce(reducer: number, event: ReducerEvent): void {
    this.around.reducing(reducer, event);
    const actions = this.reducers[reducer]!.handle(event);
    this.around.reduced(reducer, event);
    for (const action of actions) this.performReducer(reducer, action);
  }

  private performReducer(reducer: number, action: ReducerAction): void {
    const { around } = this;
    switch (action.type) {
      case 'send': {
        const peer = this.peers[reducer]!.peerOf(action.session);
        if (peer !== undefined) around.send(reducer, peer, action.message, action.payload ?? NOTHING);
        break;
      }
      case 'covered':
      case 'root':
      case 'hashed':
        around.pass(reducer, CONTROL, () => this.decide(eventOfReducer(reducer, action)));
        break;
      case 'fault':
        around.faulted(action.session, action.reason);
        around.pass(reducer, CONTROL, () => this.lose(action.session, protocolBroken(action.reason)));
        break;
      default:
        action satisfies never;
    }
  }
}
