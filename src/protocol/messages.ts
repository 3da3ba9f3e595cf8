// Every message that crosses a socket: what it says, who sends it, and the check of each of its fields.
// Control messages run between a worker and the coordinator, data messages between a worker and a reducer.
// Tensors and token ids travel in the payload; its length is checked where it is known what to expect.
import { z } from 'zod';
import { decodeFrames, encodeFrames, ProtocolError } from './frames.js';
import { jobSchema } from './job.js';

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();
const text = z.string().max(4096);
/** What is shown in logs and on terminals: no control characters, no line ends. */
const label = z
  .string()
  .max(200)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, 'expected printable characters');
/** A public key, a challenge, a proof: 32 bytes. */
const bytes32 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

/** Every message after the greeting but `bye` and `refused` carries the session (a worker process's stay) and the coordinator's term. */
const inSession = { session: z.string().min(8).max(64), term: count };

/** One node of one step's tree; `round` counts the computations of the step (from 1: again, after a fault). */
const nodeFields = { step: count, round: count.max(65_535), level: count.max(40), index: count };

/** What a worker computes with: must be equal among workers for equal bits. */
const engineFields = z.object({ engine: label, matmul: label, isa: label });

/** What a worker does at a moment: computing comes before pulling, and pulling before pushing, when it does several. */
export const workerPhases = ['compute', 'push', 'pull', 'idle'] as const;
export type WorkerPhase = (typeof workerPhases)[number];

const phaseSeconds = z.object({ compute: seconds, push: seconds, pull: seconds, idle: seconds });
export type PhaseSeconds = z.infer<typeof phaseSeconds>;

/** What a worker does now, what it did since its session began, and what its process occupies. */
const workerReport = z.object({
  phase: z.enum(workerPhases),
  phases: phaseSeconds,
  /** Computed for training, whether or not a step came to use them. */
  microBatches: count,
  /** Payloads of gradients, and of parameters. */
  sentBytes: count,
  receivedBytes: count,
  residentBytes: count,
});
export type WorkerReport = z.infer<typeof workerReport>;

/** Of a session that has just begun. */
export const NOTHING_DONE: WorkerReport = {
  phase: 'idle',
  phases: { compute: 0, push: 0, pull: 0, idle: 0 },
  microBatches: 0,
  sentBytes: 0,
  receivedBytes: 0,
  residentBytes: 0,
};

// ---- worker -> coordinator

export const workerToCoordinator = z.discriminatedUnion('type', [
  /** The first message on a connection. */
  z.object({
    type: z.literal('hello'),
    name: label,
    host: label,
    runId: label.nullable(),
    /** Its public key, where connections are encrypted. */
    key: bytes32.nullable(),
  }),
  /** Answers a challenge: what only the owner of the key that hello named can compute. */
  z.object({ type: z.literal('prove'), proof: bytes32 }),
  /** Attached to all reducers; `probe` is the SHA-256 of a fixed micro-batch's gradient. */
  z.object({
    type: z.literal('ready'),
    ...inSession,
    engine: engineFields,
    probe: bytes32,
  }),
  /** Alive; `echo` is the last sequence number heard. */
  z.object({
    type: z.literal('heartbeat'),
    ...inSession,
    sequence: count,
    echo: count,
    report: workerReport,
  }),
  /** A node's forward results; payload: float64 [loss, target tokens, correct, source tokens] for each of its micro-batches. */
  z.object({ type: z.literal('computed'), ...inSession, ...nodeFields, seconds }),
  /** An evaluation micro-batch's results; payload: float64 [loss, target tokens, correct, source tokens]. */
  z.object({ type: z.literal('evaluated'), ...inSession, version: count, index: count }),
  /** The worker leaves. */
  z.object({ type: z.literal('leave'), ...inSession, reason: label }),
]);
export type WorkerToCoordinator = z.infer<typeof workerToCoordinator>;

/**
 * How a session ends: `lost`, the worker may come back; `finished`, the run is over; `stopped`, it was stopped and whoever goes on
 * with it wants workers again; `refused`, the worker is not wanted.
 */
export const sessionOutcomes = ['lost', 'finished', 'stopped', 'refused'] as const;
export type SessionOutcome = (typeof sessionOutcomes)[number];

// ---- coordinator -> worker

const reducerAddress = z.object({ url: text, firstChunk: count, endChunk: count });
export type ReducerAddress = z.infer<typeof reducerAddress>;

/** How the samples lie in a lease's payload: int32 lengths of all sequences, then their token ids. */
const samplesFields = {
  microBatches: count.min(1),
  samples: count.min(1),
  sequences: z.union([z.literal(1), z.literal(2)]),
};

export const coordinatorToWorker = z.discriminatedUnion('type', [
  /** Answers the hello of a worker with a key. */
  z.object({ type: z.literal('challenge'), runId: label, challenge: bytes32 }),
  /** Answers hello, or the proof: the session, what is trained and who reduces. */
  z.object({
    type: z.literal('welcome'),
    ...inSession,
    run: label, // its name
    runId: label,
    job: jobSchema,
    reducers: z.array(reducerAddress).min(1),
  }),
  /** Permission to compute a node with the parameters of version `step`; payload: samples. */
  z.object({ type: z.literal('lease'), ...inSession, ...nodeFields, ...samplesFields }),
  /** Permission to evaluate a micro-batch of validation data with the parameters of a version; payload: samples. */
  z.object({ type: z.literal('evaluate'), ...inSession, version: count, index: count, ...samplesFields }),
  /** The node is not needed any more. */
  z.object({ type: z.literal('recall'), ...inSession, ...nodeFields }),
  z.object({ type: z.literal('heartbeat'), ...inSession, sequence: count, echo: count }),
  /** The session is over, or (in answer to a hello) there is none. */
  z.object({ type: z.literal('bye'), reason: text, outcome: z.enum(sessionOutcomes) }),
]);
export type CoordinatorToWorker = z.infer<typeof coordinatorToWorker>;

// ---- worker -> reducer

export const workerToReducer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('attach'), ...inSession }),
  /** The node's gradient is about to become available. */
  z.object({ type: z.literal('offer'), ...inSession, ...nodeFields }),
  /** One granted chunk of it; payload: float32 or bfloat16. */
  z.object({ type: z.literal('chunk'), ...inSession, ...nodeFields, chunk: count }),
  /** The offer is void; answered by `done` once everything sent before has been received. */
  z.object({ type: z.literal('withdraw'), ...inSession, ...nodeFields }),
  /** Asks for a chunk of a version or, if that is gone, of the newest. `received`: parameter chunks received in this session. */
  z.object({ type: z.literal('pull'), ...inSession, version: count, chunk: count, received: count }),
  /** Acknowledges parameter chunks when no further pull does. */
  z.object({ type: z.literal('received'), ...inSession, received: count }),
]);
export type WorkerToReducer = z.infer<typeof workerToReducer>;

// ---- reducer -> worker

export const reducerToWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('attached'), ...inSession }),
  /** These chunks of the offered node may be sent. */
  z.object({ type: z.literal('grant'), ...inSession, ...nodeFields, chunks: z.array(count).min(1) }),
  /** Nothing more of the node is wanted and all that was sent has arrived: its buffer is free. */
  z.object({ type: z.literal('done'), ...inSession, ...nodeFields }),
  /** One chunk of the parameters of a version; payload: float32. */
  z.object({ type: z.literal('parameters'), ...inSession, version: count, chunk: count }),
  /** The session is not known here. */
  z.object({ type: z.literal('refused'), reason: text }),
]);
export type ReducerToWorker = z.infer<typeof reducerToWorker>;

export type Message = WorkerToCoordinator | CoordinatorToWorker | WorkerToReducer | ReducerToWorker;

/** A message with its payload (empty when it has none). */
export type Received<M> = M & { readonly payload: Uint8Array };

export function encode(message: Message, payload?: Uint8Array, payloadCrc?: number): Uint8Array[] {
  return encodeFrames(message, payload, payloadCrc);
}

/** Messages that carry numbers; all others have no payload. */
const WITH_PAYLOAD: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'computed',
  'evaluated',
  'lease',
  'evaluate',
  'chunk',
  'parameters',
]);

/** Checks the envelope, then every field against the schema; throws ProtocolError. */
export function decode<M extends Message>(schema: z.ZodType<M>, frames: readonly Uint8Array[]): Received<M> {
  const { header, payload } = decodeFrames(frames);
  const parsed = schema.safeParse(header);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ProtocolError(`${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'invalid'}`);
  }
  if (payload.length > 0 && !WITH_PAYLOAD.has(parsed.data.type))
    throw new ProtocolError(`expected no payload with "${parsed.data.type}", got ${payload.length} bytes`);
  return { ...parsed.data, payload };
}
