// What a simulated cluster is made of, in numbers: machines, network, model, and what the coordinator's work costs.
import { ChunkGrid } from '../protocol/chunks.js';
import type { WireFormat } from '../protocol/job.js';

export interface ClusterPlan {
  readonly workers: number;
  readonly workersPerHost: number;
  /** Trained parameters. */
  readonly parameters: number;
  /** Of a step, and how long a worker computes one, forward and backward. */
  readonly microBatches: number;
  readonly microBatchMs: number;
  readonly reducers: number;
  readonly wire: WireFormat;
  /** Of each network interface and direction; Infinity: no limit. */
  readonly coordinatorBytesPerSecond: number;
  readonly workerBytesPerSecond: number;
  /** One way. */
  readonly latencyMs: number;
  /** Of the coordinator's host; Infinity: as many as it has threads. */
  readonly cores: number;
  readonly costs: Costs;
}

/** What the coordinator's host takes for its work; Infinity and 0: nothing. */
export interface Costs {
  /** Bytes a second between network and memory, both directions together: ZeroMQ's I/O thread. */
  readonly ioBytesPerSecond: number;
  /** Elements of gradients that a reducer checks, copies and adds a second; what it does to serve pulls is in it. */
  readonly addedPerSecond: number;
  /** Parameters that a reducer updates and publishes a second. */
  readonly updatedPerSecond: number;
  /** The main thread decodes a message, decides, and encodes an answer. */
  readonly messageMs: number;
}

/** One simulated heartbeat costs as much as ten real ones, of one a second: most of a simulation would be heartbeats. */
export const HEARTBEATS_AT_ONCE = 10;
export const HEARTBEAT = { intervalMs: HEARTBEATS_AT_ONCE * 1000, timeoutMs: 60_000 } as const;

/**
 * Costs as `npm run bench -- scale` measured them with 1 to 256 workers on a virtual machine with two cores of a Zen 5 processor,
 * coordinator and workers together.
 */
export const MEASURED_COSTS: Costs = {
  ioBytesPerSecond: 2.9e9,
  addedPerSecond: 500e6,
  updatedPerSecond: 310e6,
  messageMs: 0.33,
};

/** Chunks of all workers that a step is simulated with in each direction, at most, but no fewer than so many of a worker. */
const MOST_CHUNKS = 8_000;
const FEWEST_CHUNKS = 8;

/** The vector as it is cut here (for many workers into fewer and larger chunks), and one of an element for each chunk, which stands for it in the state machines. */
export interface Grids {
  readonly real: ChunkGrid;
  readonly simulated: ChunkGrid;
}

export function gridsOf({ parameters, workers }: ClusterPlan): Grids {
  const { chunkElements, windowChunks, chunks } = new ChunkGrid(parameters, parameters);
  const most = Math.max(FEWEST_CHUNKS, Math.floor(MOST_CHUNKS / workers));
  const messagesPerChunk = Math.max(1, Math.floor(chunks / most));
  const window = Math.max(2, Math.floor(windowChunks / messagesPerChunk));
  const real = new ChunkGrid(parameters, parameters, chunkElements * messagesPerChunk, window);
  return { real, simulated: new ChunkGrid(real.chunks, real.chunks, 1, window) };
}
