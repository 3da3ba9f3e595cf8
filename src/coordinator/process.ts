// The coordinator as a running process: sockets, reducer threads, checkpoints, metrics and the clock around the
// state machine in coordinator.ts. What is decided there is done here, and what happens here is told there.
import type { TrainingEvent } from '../metrics/events.js';
import { MAX_HEADER_BYTES } from '../protocol/frames.js';
import type { CoordinatorToWorker } from '../protocol/messages.js';
import { nodeKey, ReductionTree } from '../protocol/tree.js';
import { openGate } from '../transport/gate.js';
import type { KeyPair, PublicKey, ServerSecurity } from '../transport/keys.js';
import { RouterSocket } from '../transport/router.js';
import { UserError, messageOf } from '../util/errors.js';
import { CheckpointWriter } from './checkpoint-writer.js';
import { Connections } from './connections.js';
import { Coordinator } from './coordinator.js';
import type { CoordinatorAction, CoordinatorEvent } from './events.js';
import { Reception, type SessionMessage } from './reception.js';
import type { FromReducer } from './reducer/port.js';
import { coordinatorOptions } from './options.js';
import { Reducers, reducerSetups } from './reducers.js';
import { SampleSource, type LeaseSamples } from './sample-source.js';
import type { WorkerIdentity } from './sessions.js';
import { Telemetry, type TelemetryOptions } from './telemetry.js';
import {
  connectionEnded,
  controlMessage,
  eventOfReducer,
  eventOfWorker,
  goodbye,
  protocolBroken,
  taskMessage,
  workerFailed,
  workerLeft,
  type SessionEnding,
  type Speaker,
} from './translation.js';

export interface CoordinatorProcessOptions extends TelemetryOptions {
  /** For example tcp://127.0.0.1:7117, or with port *. */
  readonly bind: string;
  /** The coordinator's keys, and whose keys may connect; null: nothing is encrypted and everybody may. */
  readonly security: { readonly keys: KeyPair; nameOf(key: PublicKey): string | undefined } | null;
  /** Whether it goes on to serve its page, and to tell workers that the run is over, once the run is completed. */
  readonly stays?: boolean;
}

export interface Outcome {
  readonly reason: 'completed' | 'stopped';
  /** Steps completed. */
  readonly version: number;
  /** Whether the last version was saved. */
  readonly saved: boolean;
  /** Where the newest checkpoint lies; null when there is none. */
  readonly checkpoint: string | null;
}

/** Workers send headers, and 32 bytes for each micro-batch of a lease. */
const MAX_CONTROL_FRAME_BYTES = MAX_HEADER_BYTES + 4096;
/** A worker sends a heartbeat a second, and a few messages for each lease: this is minutes of them. */
const MAX_CONTROL_WAITING = 256;
/** How late silence and stragglers may be noticed. */
const TICK_MS = 100;
/** How long last messages may take to leave. */
const LINGER_MS = 1000;

export class CoordinatorProcess {
  /** Where workers find the coordinator. */
  url = '';
  private readonly machine: Coordinator;
  private readonly socket: RouterSocket;
  private readonly connections: Connections;
  private readonly reception: Reception;
  private readonly samples: SampleSource;
  private readonly tree: ReductionTree;
  /** Most tokens of a micro-batch that can carry loss. */
  private readonly maxTokens: number;
  private reducers!: Reducers;
  private checkpoints!: CheckpointWriter;
  private telemetry!: Telemetry;
  private closeGate: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private ended = false;
  /** What those are told who come after the end: to look again, unless the run is completed. */
  private farewell = goodbye('the coordinator ends', 'lost');
  private settle!: { resolve: (outcome: Outcome) => void; reject: (error: unknown) => void };
  /** Settles when the run has ended and, unless it stays, everything is closed; rejects when it cannot go on. */
  readonly done = new Promise<Outcome>((resolve, reject) => (this.settle = { resolve, reject }));

  private constructor(private readonly options: CoordinatorProcessOptions) {
    const { run, security, log } = options;
    const { config } = run;
    this.samples = new SampleSource(run.dataset, config);
    this.tree = new ReductionTree(config.batch.microBatches);
    this.maxTokens = config.batch.samples * config.model.maxLength;
    this.socket = new RouterSocket({
      heartbeatMs: config.heartbeat.timeoutMs,
      security: serverSecurity(options),
      maxFrameBytes: MAX_CONTROL_FRAME_BYTES,
      maxWaiting: MAX_CONTROL_WAITING,
      lingerMs: LINGER_MS,
    });
    this.connections = new Connections(this.socket);
    const keys = security && { own: security.keys, nameOf: security.nameOf.bind(security) };
    this.reception = new Reception(
      this.connections,
      { runId: run.runId, term: run.term.number, keys, log },
      {
        opened: (session, worker) => this.greet(session, worker),
        message: (session, message) => this.hearWorker(session, message),
        fault: (session, reason) => this.lose(session, protocolBroken(reason)),
        rejected: (fault) => this.publish({ kind: 'messageRejected', fault }),
        late: (session) => this.lose(session, workerFailed('it did not begin to work in time')),
      },
    );
    const decisive = coordinatorOptions(run, this.samples.evaluationBatches);
    this.machine = new Coordinator(decisive, run.progress, run.resumedFrom !== null);
  }

  /** Listens and begins; workers may come at any time. */
  static async start(options: CoordinatorProcessOptions): Promise<CoordinatorProcess> {
    const coordinator = new CoordinatorProcess(options);
    try {
      await coordinator.open();
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    return coordinator;
  }

  /** Where metrics are served, if anywhere. */
  get httpUrl(): string | undefined {
    return this.telemetry.httpUrl;
  }

  /** Ends one that stays. */
  async leave(): Promise<void> {
    await this.close();
  }

  /** Ends the run after the current step, with a checkpoint. */
  stop(): void {
    this.decide({ type: 'stop' });
  }

  private async open(): Promise<void> {
    const { run, bind, log, security } = this.options;
    this.telemetry = await Telemetry.open(this.options);
    if (security) this.closeGate = await openGate(run.runId, (key) => security.nameOf(key) !== undefined);
    this.url = await this.socket.bind(bind);
    this.reducers = await Reducers.start(reducerSetups(run, bind, serverSecurity(this.options)), {
      message: (reducer, message) => this.guard(() => this.hearReducer(reducer, message)),
      failed: (error) => this.fail(error),
    });
    this.checkpoints = new CheckpointWriter(
      run,
      this.reducers,
      {
        decide: (event) => this.decide(event),
        publish: (event) => this.publish(event),
        flush: () => this.telemetry.flush(),
      },
      log,
    );
    this.perform(this.machine.start(performance.now()));
    const { intervalMs } = run.config.heartbeat;
    this.timer = setInterval(() => this.tick(), Math.min(intervalMs, TICK_MS));
    void run.term.superseded.then((error) => this.fail(error));
    this.socket
      .receive({
        message: (peer, frames) => this.guard(() => this.reception.receive(peer, frames)),
        disconnected: (peer) => this.lose(this.reception.disconnected(peer), connectionEnded('coordinator')),
        overflowed: (peer) =>
          this.lose(this.connections.sessionOf(peer), workerFailed('it does not read what is sent to it')),
      })
      .catch((error: unknown) => this.fail(error));
    const reducers = this.reducers.addresses.map(({ url }) => url);
    const { version } = run.progress;
    log.info({ url: this.url, reducers, term: run.term.number, version }, 'coordinator listening');
  }

  // ---- what happens

  private tick(): void {
    this.guard(() => this.reception.tick(performance.now()));
    this.decide({ type: 'tick' });
  }

  private greet(session: string, { name, host, key }: WorkerIdentity): void {
    if (this.ended) {
      this.say(session, this.farewell);
      return this.connections.end(session);
    }
    this.reducers.tellAll({ type: 'open', session });
    this.options.log.debug({ worker: name }, 'hello');
    this.decide({ type: 'hello', session, name, host, key });
  }

  private hearWorker(session: string, message: SessionMessage): void {
    if (message.type === 'leave') this.lose(session, workerLeft(message.reason));
    else this.decide(eventOfWorker(session, message, this.maxTokens));
  }

  private hearReducer(reducer: number, message: FromReducer): void {
    switch (message.type) {
      case 'covered':
      case 'root':
      case 'hashed':
        this.decide(eventOfReducer(reducer, message));
        break;
      case 'lost':
        this.lose(message.session, connectionEnded('reducer'));
        break;
      case 'fault':
        this.lose(message.session, protocolBroken(message.reason));
        break;
      case 'written':
        this.checkpoints.written(message.version, message.failure);
        break;
      case 'usage':
        this.publish({ kind: 'reducerUsage', reducer, usage: message.usage });
        break;
      case 'listening':
        break;
      default:
        message satisfies never;
    }
  }

  /** The session ended, whoever noticed; a worker that can still hear it is told. */
  private lose(session: string | undefined, { reason, detail, outcome }: SessionEnding): void {
    if (session === undefined || this.ended) return;
    this.say(session, goodbye(detail, outcome));
    this.forget(session);
    this.decide({ type: 'gone', session, reason, detail });
  }

  private forget(session: string): void {
    this.reducers.tellAll({ type: 'close', session });
    this.connections.end(session);
  }

  // ---- what is done about it

  private decide(event: CoordinatorEvent): void {
    if (this.ended) return;
    this.guard(() => this.perform(this.machine.handle(event, performance.now())));
  }

  private perform(actions: readonly CoordinatorAction[]): void {
    for (const action of actions) this.performOne(action);
  }

  private performOne(action: CoordinatorAction): void {
    const { log } = this.options;
    switch (action.type) {
      case 'welcome':
      case 'recall':
      case 'heartbeat':
        this.say(action.session, controlMessage(action, this.speaker));
        break;
      case 'dismiss':
        this.say(action.session, goodbye(action.reason, action.outcome));
        this.forget(action.session);
        break;
      case 'lease': {
        const { session, node } = action;
        log.debug({ worker: this.machine.nameOf(session), step: node.step, node: nodeKey(node) }, 'lease');
        this.reducers.tellAll(action);
        this.sendTask(action);
        break;
      }
      case 'evaluate':
        this.sendTask(action);
        break;
      case 'begin':
      case 'commit':
        log.debug({ step: action.step }, action.type);
        this.reducers.tellAll(action);
        break;
      case 'snapshot':
        this.checkpoints.snapshot(action.progress.version);
        break;
      case 'publish':
        this.checkpoints.publish(action.progress, action.validationLoss);
        break;
      case 'event':
        this.publish(action.event);
        break;
      case 'log':
        log[action.level](action.message);
        break;
      case 'fail':
        this.fail(new UserError(action.code, action.message));
        break;
      case 'finish':
        this.finish(action);
        break;
      default:
        action satisfies never;
    }
  }

  private get speaker(): Speaker {
    const { term, config, runId, job } = this.options.run;
    return { term: term.number, run: config.name, runId, job, reducers: this.reducers.addresses };
  }

  private say(session: string, message: CoordinatorToWorker): void {
    void this.connections.send(session, { message });
  }

  /** With its samples, once they are read. */
  private sendTask(action: CoordinatorAction & { type: 'lease' | 'evaluate' }): void {
    const term = this.options.run.term.number;
    const outgoing = this.samplesOf(action).then(({ shape, payload }) => ({
      message: taskMessage(action, term, shape),
      payload,
    }));
    this.connections.send(action.session, outgoing).catch((error: unknown) => this.fail(error));
  }

  private samplesOf(action: CoordinatorAction & { type: 'lease' | 'evaluate' }): Promise<LeaseSamples> {
    if (action.type === 'evaluate') return this.samples.ofEvaluation(action.index);
    const { start, end } = this.tree.range(action.node);
    return this.samples.ofStep(action.node.step, start, end);
  }

  private publish(event: TrainingEvent): void {
    this.telemetry.publish(event);
  }

  // ---- the end

  private guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends without finishing the step; the newest checkpoint stays, and `done` rejects with the error. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.telemetry.end('failed', messageOf(error));
    this.close().then(
      () => this.settle.reject(error),
      () => this.settle.reject(error),
    );
  }

  private finish({ reason, saved }: CoordinatorAction & { type: 'finish' }): void {
    this.ended = true;
    if (saved) this.telemetry.end(reason);
    else this.telemetry.end('failed', 'the last checkpoint could not be written');
    const { version } = this.machine.state.progress;
    const outcome = { reason, version, saved, checkpoint: this.checkpoints.newest };
    if (reason === 'completed') {
      this.farewell = goodbye('the run is completed', 'finished');
      if (this.options.stays) return this.settle.resolve(outcome);
    }
    this.close().then(
      () => this.settle.resolve(outcome),
      (error: unknown) => this.settle.reject(error),
    );
  }

  /** Closes in reverse order; callable at any stage of opening. */
  private async close(): Promise<void> {
    clearInterval(this.timer);
    if (this.url !== '') await this.connections.drained(LINGER_MS);
    this.socket.close();
    await this.checkpoints?.settled();
    await this.reducers?.stop();
    this.closeGate?.();
    await this.telemetry?.close();
    await this.options.run.dataset.close();
    await this.options.run.term.release();
  }
}

function serverSecurity({ run, security }: CoordinatorProcessOptions): ServerSecurity | null {
  return security && { secretKey: security.keys.secretKey, domain: run.runId };
}
