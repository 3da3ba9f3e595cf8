// Any message of each of the protocol's unions, written by hand from what each field may hold.
import fc from 'fast-check';
import type {
  CoordinatorToWorker,
  ReducerToWorker,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../../src/protocol/messages.js';
import type { Job } from '../../src/protocol/job.js';
import { sessionOutcomes, workerPhases } from '../../src/protocol/messages.js';

const count = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const text = fc.string({ unit: 'binary', maxLength: 80 });
/** Printable. */
const label = fc.string({ unit: fc.constantFrom(...'aZ09 -_./<ä漢🚀'), maxLength: 80 });
const seconds = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => value + 0); // JSON has no -0
const session = { session: fc.stringMatching(/^[0-9a-f]{8,64}$/), term: count };
const node = {
  step: count,
  round: fc.nat({ max: 1 }),
  level: fc.nat({ max: 40 }),
  index: count,
};
const size = fc.integer({ min: 1, max: 2 ** 31 });
const id = fc.nat({ max: 2 ** 31 - 1 });
const share = fc.double({ min: 0, max: 0.999, noNaN: true }).map((value) => value + 0);
const samples = {
  microBatches: fc.integer({ min: 1, max: 64 }),
  samples: fc.integer({ min: 1, max: 64 }),
  sequences: fc.constantFrom(1 as const, 2 as const),
};

function message<T extends string, R extends object>(
  type: T,
  fields: { [K in keyof R]: fc.Arbitrary<R[K]> },
): fc.Arbitrary<R & { type: T }> {
  return fc.record({ type: fc.constant(type), ...fields }, { noNullPrototype: true }) as fc.Arbitrary<
    R & { type: T }
  >;
}

const record = <R extends object>(fields: { [K in keyof R]: fc.Arbitrary<R[K]> }): fc.Arbitrary<R> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<R>;

const job: fc.Arbitrary<Job> = record<Job>({
  seed: count,
  model: record<Job['model']>({
    vocabularySize: size,
    width: size,
    heads: size,
    feedForward: size,
    encoderLayers: size,
    decoderLayers: size,
    maxLength: size,
    dropout: share,
    norm: fc.constantFrom('post', 'pre'),
    activation: fc.constantFrom('relu', 'gelu', 'swish'),
    padId: id,
    endId: id,
    startId: id,
  }),
  objective: fc.oneof(
    record<Job['objective'] & { kind: 'masked' }>({
      kind: fc.constant('masked'),
      rate: share,
      corruption: fc.constantFrom('token', 'span'),
      meanSpan: fc.double({ min: 1, max: 100, noNaN: true }),
      loss: fc.constantFrom('hidden', 'all'),
    }),
    fc.constantFrom<Job['objective']>({ kind: 'causal' }, { kind: 'seq2seq' }),
  ),
  tokens: record<Job['tokens']>({
    padId: id,
    endId: id,
    startId: id,
    maskId: id,
    vocabularySize: size,
    specialIds: fc.array(id),
  }),
  microBatches: fc.integer({ min: 1, max: 65_536 }),
  labelSmoothing: share,
  precision: fc.constantFrom('float32', 'bfloat16'),
  emulate: fc.boolean(),
  wire: fc.constantFrom('float32', 'bfloat16'),
  heartbeat: record<Job['heartbeat']>({ intervalMs: size, timeoutMs: size }),
});

const bytes32 = fc.stringMatching(/^[0-9a-f]{64}$/);
const engine = record({ engine: label, matmul: label, isa: label });
const phase = fc.constantFrom(...workerPhases);
const phases = record({ compute: seconds, push: seconds, pull: seconds, idle: seconds });
const report = record({
  phase,
  phases,
  microBatches: count,
  sentBytes: count,
  receivedBytes: count,
  residentBytes: count,
});

export const anyWorkerToCoordinator: fc.Arbitrary<WorkerToCoordinator> = fc.oneof(
  message('hello', {
    name: label,
    host: label,
    runId: fc.option(label),
    key: fc.option(bytes32),
  }),
  message('prove', { proof: bytes32 }),
  message('ready', { ...session, engine, probe: bytes32 }),
  message('heartbeat', { ...session, sequence: count, echo: count, report }),
  message('computed', { ...session, ...node, seconds }),
  message('evaluated', { ...session, version: count, index: count }),
  message('leave', { ...session, reason: label }),
);

const reducers = fc.array(record({ url: text, firstChunk: count, endChunk: count }), {
  minLength: 1,
  maxLength: 5,
});

export const anyCoordinatorToWorker: fc.Arbitrary<CoordinatorToWorker> = fc.oneof(
  message('challenge', { runId: label, challenge: bytes32 }),
  message('welcome', { ...session, run: label, runId: label, job, reducers }),
  message('lease', { ...session, ...node, ...samples }),
  message('evaluate', { ...session, version: count, index: count, ...samples }),
  message('recall', { ...session, ...node }),
  message('heartbeat', { ...session, sequence: count, echo: count }),
  message('bye', { reason: text, outcome: fc.constantFrom(...sessionOutcomes) }),
);

export const anyWorkerToReducer: fc.Arbitrary<WorkerToReducer> = fc.oneof(
  message('attach', session),
  message('offer', { ...session, ...node }),
  message('chunk', { ...session, ...node, chunk: count }),
  message('withdraw', { ...session, ...node }),
  message('pull', { ...session, version: count, chunk: count, received: count }),
  message('received', { ...session, received: count }),
);

export const anyReducerToWorker: fc.Arbitrary<ReducerToWorker> = fc.oneof(
  message('attached', session),
  message('grant', { ...session, ...node, chunks: fc.array(count, { minLength: 1, maxLength: 8 }) }),
  message('done', { ...session, ...node }),
  message('parameters', { ...session, version: count, chunk: count }),
  message('refused', { reason: text }),
);

/** A payload as it may lie in memory: a Buffer that is a part of a larger one, at any alignment. */
export const anyPayload: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 7 }))
  .map(([bytes, offset]) => within(bytes, offset));

/** The same bytes as a Buffer inside a larger one, at an offset. */
export function within(bytes: Uint8Array, offset: number): Buffer {
  const memory = Buffer.alloc(offset + bytes.length + 3, 0xa5);
  memory.set(bytes, offset);
  return memory.subarray(offset, offset + bytes.length);
}
