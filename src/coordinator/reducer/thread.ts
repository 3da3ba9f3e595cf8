// A reducer's thread: the sockets, the disk and the clock around the state machine in reducer.ts.
import { MAX_HEADER_BYTES, ProtocolError } from '../../protocol/frames.js';
import { parentPort, workerData } from 'node:worker_threads';
import { writeSlice } from '../../checkpoint/files.js';
import { loadAddon } from '../../engine/native/load.js';
import { ChunkGrid } from '../../protocol/chunks.js';
import {
  decode,
  encode,
  workerToReducer,
  type Received,
  type WorkerToReducer,
} from '../../protocol/messages.js';
import { RouterSocket, type PeerId } from '../../transport/router.js';
import { assert, messageOf, sentError } from '../../util/errors.js';
import { queuedArithmetic } from './arithmetic.js';
import type { ReducerAction, ReducerEvent } from './events.js';
import type { FromReducer, ReducerFailed, ReducerSetup, SnapshotFiles, ToReducer } from './port.js';
import { Peers } from './peers.js';
import { Reducer } from './reducer.js';

const USAGE_INTERVAL_MS = 500;
/** What encryption adds to a frame, and more. */
const FRAME_SLACK_BYTES = 1024;
/** Offers, withdrawals and acknowledgements that a worker may have under way, beside the chunks of its two gradients and its pulls. */
const SMALL_MESSAGES = 16;

interface Snapshot {
  readonly version: number;
  readonly parameters: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}

/** What is counted from one report to the next. */
function noUsage() {
  return {
    gradientBytes: 0,
    parameterBytes: 0,
    reduceSeconds: 0,
    updateSeconds: 0,
    rejected: { checksum: 0, malformed: 0, stale: 0 },
  };
}

class ReducerThread {
  private readonly addon = loadAddon();
  private readonly grid: ChunkGrid;
  private readonly reducer: Reducer;
  private readonly socket: RouterSocket;
  private readonly peers: Peers;
  private snapshot: Snapshot | undefined;
  private usage = noUsage();

  constructor(
    private readonly setup: ReducerSetup,
    private readonly tell: (message: FromReducer | ReducerFailed) => void,
  ) {
    this.grid = new ChunkGrid(setup.trainable, setup.total);
    this.socket = new RouterSocket({
      heartbeatMs: setup.heartbeatMs,
      security: setup.security,
      maxFrameBytes: Math.max(this.grid.chunkElements * 4, MAX_HEADER_BYTES) + FRAME_SLACK_BYTES,
      maxWaiting: 4 * this.grid.windowChunks + SMALL_MESSAGES,
    });
    this.peers = new Peers(setup.term);
    this.reducer = new Reducer({
      ...setup,
      grid: this.grid,
      arithmetic: queuedArithmetic(this.addon),
    });
  }

  async run(): Promise<void> {
    this.tell({ type: 'listening', url: await this.socket.bind(this.setup.bind) });
    const timer = setInterval(() => this.reportUsage(), USAGE_INTERVAL_MS);
    process.once('uncaughtException', (error) => this.fail(error));
    try {
      await this.socket.receive({
        message: (peer, frames) => this.receive(peer, frames),
        disconnected: (peer) => this.disconnected(peer),
        overflowed: (peer) => this.overflowed(peer),
      });
    } finally {
      clearInterval(timer);
    }
  }

  /** A thread that dies with an open socket takes the whole process with it: the socket is closed first. */
  private fail(error: Error): void {
    this.tell({ type: 'failed', ...sentError(error) });
    this.socket.close();
  }

  command(message: ToReducer): void {
    switch (message.type) {
      case 'open':
        this.handle(message);
        for (const [peer, early] of this.peers.openSession(message.session)) this.hear(peer, early);
        break;
      case 'close':
        this.peers.closeSession(message.session);
        this.handle(message);
        break;
      case 'lease':
      case 'begin':
      case 'commit':
        this.handle(message);
        break;
      case 'snapshot':
        this.snapshot = this.copySlice(message.version);
        break;
      case 'write':
        void this.write(message.version, message.files);
        break;
      case 'stop':
        this.reportUsage();
        this.socket.close();
        break;
      default:
        message satisfies never;
    }
  }

  // ---- messages of workers

  private receive(peer: PeerId, frames: Uint8Array[]): void {
    try {
      this.hear(peer, decode(workerToReducer, frames));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.usage.rejected[error.fault]++;
      const session = this.peers.sessionOf(peer);
      if (session !== undefined) return this.tell({ type: 'fault', session, reason: error.message });
      const hearing = this.peers.refuse(peer, error.message);
      if (hearing !== 'drop') this.refuse(peer, error.message);
    }
  }

  private hear(peer: PeerId, message: Received<WorkerToReducer>): void {
    const hearing = this.peers.hear(peer, message);
    if (hearing === 'accept') {
      this.usage.gradientBytes += message.payload.length;
      this.handle({ type: 'message', session: message.session, message });
    } else if (hearing !== 'drop') {
      this.usage.rejected.stale++;
      this.refuse(peer, hearing.refuse);
    }
  }

  private disconnected(peer: PeerId): void {
    const session = this.peers.disconnected(peer);
    if (session !== undefined) this.tell({ type: 'lost', session });
  }

  private overflowed(peer: PeerId): void {
    const session = this.peers.sessionOf(peer);
    if (session !== undefined)
      this.tell({ type: 'fault', session, reason: 'it does not read what is sent to it' });
  }

  private refuse(peer: PeerId, reason: string): void {
    this.socket.send(peer, encode({ type: 'refused', reason }));
  }

  // ---- the state machine's actions

  private handle(event: ReducerEvent): void {
    const started = performance.now();
    const actions = this.reducer.handle(event);
    const seconds = (performance.now() - started) / 1000;
    if (event.type === 'commit') this.usage.updateSeconds += seconds;
    else this.usage.reduceSeconds += seconds;
    for (const action of actions) this.perform(action);
  }

  private perform(action: ReducerAction): void {
    if (action.type !== 'send') {
      if (action.type === 'fault') this.usage.rejected.malformed++;
      this.tell(action);
      return;
    }
    const peer = this.peers.peerOf(action.session);
    if (peer === undefined) return;
    this.usage.parameterBytes += action.payload?.length ?? 0;
    this.socket.send(peer, encode(action.message, action.payload, action.crc));
  }

  private reportUsage(): void {
    const { used, free } = this.reducer.bufferBytes;
    const usage = { ...this.usage, usedBufferBytes: used, freeBufferBytes: free };
    this.tell({ type: 'usage', usage });
    this.usage = noUsage();
  }

  // ---- checkpoints

  /** Where the slice's elements begin and end, and where those that are trained end; ends are exclusive. */
  private bounds(): { start: number; end: number; trainedEnd: number } {
    const { firstChunk, endChunk } = this.setup.slice;
    const start = this.grid.start(firstChunk);
    const end = Math.min(this.grid.start(endChunk), this.setup.total);
    return { start, end, trainedEnd: Math.max(start, Math.min(end, this.setup.trainable)) };
  }

  private copySlice(version: number): Snapshot {
    const { start, end, trainedEnd } = this.bounds();
    return {
      version,
      parameters: this.setup.parameters.slice(start, end),
      moment1: this.setup.moment1.slice(start, trainedEnd),
      moment2: this.setup.moment2.slice(start, trainedEnd),
    };
  }

  /** An update cannot have made them infinite; broken memory can, and a checkpoint of it would replace a good one. */
  private isFinite(values: Float32Array): boolean {
    return Number.isFinite(this.addon.sumOfSquares(values, values.length));
  }

  private async write(version: number, files: SnapshotFiles | null): Promise<void> {
    const { snapshot } = this;
    assert(snapshot?.version === version, `asked to write version ${version} without a snapshot of it`);
    this.snapshot = undefined;
    if (!files) return;
    if (!this.isFinite(snapshot.parameters))
      return this.tell({ type: 'written', version, failure: 'parameters are not finite' });
    const { model, optimizer } = files;
    const offset = this.bounds().start * 4;
    try {
      await writeSlice(model.path, model.dataOffset + offset, snapshot.parameters);
      await writeSlice(optimizer.path, optimizer.moment1Offset + offset, snapshot.moment1);
      await writeSlice(optimizer.path, optimizer.moment2Offset + offset, snapshot.moment2);
      this.tell({ type: 'written', version, failure: null });
    } catch (error) {
      this.tell({ type: 'written', version, failure: messageOf(error) });
    }
  }
}

assert(parentPort, 'reducer/thread.ts is the entry of a worker thread');
const port = parentPort;
const thread = new ReducerThread(workerData as ReducerSetup, (message) => port.postMessage(message));
port.on('message', (message: ToReducer) => thread.command(message));
await thread.run();
port.close();
