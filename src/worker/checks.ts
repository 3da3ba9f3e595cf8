// What a worker checks of the messages of its coordinator beyond their form: that they fit the job and each other.
import type { ChunkGrid } from '../protocol/chunks.js';
import { isOfSession, type Envelope } from '../protocol/envelope.js';
import { ProtocolError } from '../protocol/frames.js';
import type { Job } from '../protocol/job.js';
import type { CoordinatorToWorker, ReducerAddress, ReducerToWorker } from '../protocol/messages.js';
import type { SampleIds } from '../protocol/samples.js';
import { ReductionTree } from '../protocol/tree.js';

/** The message is of the session that the welcome began, if it is of any. */
export function checkSession(
  message: CoordinatorToWorker | ReducerToWorker,
  welcome: Envelope | undefined,
): void {
  if (!('session' in message) || message.type === 'welcome') return;
  if (!isOfSession(message, welcome?.session, welcome?.term ?? 0))
    throw new ProtocolError('the coordinator spoke of another session');
}

/** The reducers' slices are the whole vector, in order. */
export function checkReducers(reducers: readonly ReducerAddress[], grid: ChunkGrid): void {
  let next = 0;
  for (const { firstChunk, endChunk } of reducers) {
    if (firstChunk !== next || endChunk <= firstChunk)
      throw new ProtocolError(`expected a reducer of chunks from ${next}, got ${firstChunk} to ${endChunk}`);
    next = endChunk;
  }
  if (next !== grid.chunks)
    throw new ProtocolError(`expected reducers of ${grid.chunks} chunks, got ${next}`);
}

/** The node is one of the tree, and as many micro-batches come with it as it covers. */
export function checkTask(task: CoordinatorToWorker & { type: 'lease' | 'evaluate' }, job: Job): void {
  const sequences = job.objective.kind === 'seq2seq' ? 2 : 1;
  if (task.sequences !== sequences)
    throw new ProtocolError(`expected ${sequences} sequences a sample, got ${task.sequences}`);
  const expected = task.type === 'lease' ? microBatchesOf(task, job) : 1;
  if (task.microBatches !== expected)
    throw new ProtocolError(`expected ${expected} micro-batches, got ${task.microBatches}`);
}

function microBatchesOf(node: CoordinatorToWorker & { type: 'lease' }, job: Job): number {
  const tree = new ReductionTree(job.microBatches);
  if (!tree.isCanonical(node))
    throw new ProtocolError(`${node.level}.${node.index} is not a node of the tree`);
  const { start, end } = tree.range(node);
  return end - start;
}

/** Every token is of the vocabulary: what it indexes is as long. */
export function checkTokens(microBatches: readonly (readonly SampleIds[])[], vocabularySize: number): void {
  for (const sample of microBatches.flat()) {
    for (const ids of sample) {
      const wrong = ids.find((id) => id < 0 || id >= vocabularySize);
      if (wrong !== undefined)
        throw new ProtocolError(`expected a token below ${vocabularySize}, got ${wrong}`);
    }
  }
}

/** The granted chunks are the reducer's, and have gradients. */
export function checkGrant(
  chunks: readonly number[],
  { firstChunk, endChunk }: ReducerAddress,
  { gradientChunks }: ChunkGrid,
): void {
  const end = Math.min(endChunk, gradientChunks);
  const wrong = chunks.find((chunk) => chunk < firstChunk || chunk >= end);
  if (wrong !== undefined)
    throw new ProtocolError(`expected a grant of chunks ${firstChunk} to ${end - 1}, got ${wrong}`);
}

/** The chunk is the reducer's, and has as many bytes as its elements in float32. */
export function checkParameters(
  chunk: number,
  bytes: number,
  { firstChunk, endChunk }: ReducerAddress,
  grid: ChunkGrid,
): void {
  if (chunk < firstChunk || chunk >= endChunk)
    throw new ProtocolError(`expected parameters of chunks ${firstChunk} to ${endChunk - 1}, got ${chunk}`);
  const expected = grid.elements(chunk) * 4;
  if (bytes !== expected)
    throw new ProtocolError(`expected ${expected} bytes of parameter chunk ${chunk}, got ${bytes}`);
}
