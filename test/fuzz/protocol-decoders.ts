// The protocol's decoders. Messages are fuzzed behind a valid envelope, whose checksums would otherwise refuse
// nearly every change; the envelope is fuzzed by itself.
import fc from 'fast-check';
import type { z } from 'zod';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import { crc32 } from '../../src/engine/native/memory.js';
import { decodeFrames, encodeFrames, ProtocolError } from '../../src/protocol/frames.js';
import type { Job } from '../../src/protocol/job.js';
import {
  coordinatorToWorker,
  decode,
  encode,
  reducerToWorker,
  workerToCoordinator,
  workerToReducer,
  type Message,
  type Received,
} from '../../src/protocol/messages.js';
import { decodeSamples, encodeSamples } from '../../src/protocol/samples.js';
import { decodeStats, encodeStats } from '../../src/protocol/stats.js';
import { checkTask, checkTokens } from '../../src/worker/checks.js';
import { Driver } from '../coordinator/reducer/driver.js';
import { OPTIONS, START } from '../coordinator/driver.js';
import {
  anyCoordinatorToWorker,
  anyReducerToWorker,
  anyWorkerToCoordinator,
  anyWorkerToReducer,
} from '../protocol/arbitraries.js';
import { textOf, type Decoder } from './decoder.js';

const SEED = 1;
const STATS = encodeStats([{ loss: 2.5, tokens: 7, correct: 3, sourceTokens: 9 }]);
const SAMPLES = encodeSamples([[[Int32Array.from([1, 2, 3])], [Int32Array.from([4])]]]);
const JOB = { microBatches: 4, objective: { kind: 'causal' } } as Job;

/** A header as JSON, a line break, and the payload. */
function lineOf(message: Message): Uint8Array {
  const payload = /computed|evaluated/.test(message.type)
    ? STATS
    : /lease|evaluate/.test(message.type)
      ? SAMPLES
      : '';
  return Buffer.concat([Buffer.from(`${JSON.stringify(message)}\n`), Buffer.from(payload as string)]);
}

/** The frames of a header that need not be JSON, with the right lengths and checksums. */
function framesOf(input: Uint8Array): Uint8Array[] {
  const end = input.indexOf(0x0a);
  const header = end < 0 ? input : input.subarray(0, end);
  const payload = end < 0 ? new Uint8Array(0) : input.subarray(end + 1);
  const frame = Buffer.concat([encodeFrames({})[0]!.subarray(0, 16), header]);
  frame.writeUInt32LE(payload.length, 8);
  frame.writeUInt32LE(payload.length > 0 ? crc32(payload) : 0, 12);
  frame.writeUInt32LE(crc32(frame.subarray(8)), 4);
  return payload.length > 0 ? [frame, payload] : [frame];
}

function messages<M extends Message>(
  name: string,
  share: number,
  schema: z.ZodType<M>,
  any: fc.Arbitrary<M>,
  use: (message: Received<M>) => void = () => undefined,
): Decoder {
  const examples = fc.sample(any, { seed: SEED, numRuns: 60 });
  const words = [...new Set(examples.flatMap((example) => Object.keys(example)))];
  return {
    name,
    share,
    inputs: examples.map(lineOf),
    words: [...words, ...new Set(examples.map(({ type }) => `"type":"${type}"`))],
    decode: (input) => use(decode(schema, framesOf(input))),
  };
}

const SESSION = 'aaaaaaaa';
const envelope = { session: SESSION, term: 1 };
const node = { step: 0, round: 0, level: 1, index: 0 };

function lines(...texts: readonly unknown[]): Uint8Array {
  return Buffer.from(texts.map((text) => JSON.stringify(text)).join('\n'));
}

/** Every line that is a message, as its receiver would see it. */
function* heard<M extends Message>(schema: z.ZodType<M>, input: Uint8Array): Generator<Received<M>> {
  for (const line of textOf(input).split('\n').slice(0, 64)) {
    try {
      yield decode(schema, framesOf(Buffer.from(line)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
}

/** A reducer that leased one node and hears whatever a worker may say: it never covers another. */
function converseWithReducer(input: Uint8Array): void {
  const reducer = new Driver({ trainable: 8, total: 12 });
  reducer.open(SESSION);
  reducer.do({ type: 'begin', step: 0, round: 0, examine: false });
  reducer.do({ type: 'lease', session: SESSION, node, audited: false });
  for (const message of heard(workerToReducer, input)) {
    const bytes = message.type === 'chunk' ? reducer.grid.gradientElements(message.chunk) * 4 : 0;
    reducer.do({
      type: 'message',
      session: SESSION,
      message: { ...message, payload: new Uint8Array(bytes) },
    });
  }
  const covered = reducer.every('covered').flatMap(({ leaves }) => leaves);
  if (covered.some((leaf) => leaf > 1)) throw new Error(`covered ${covered.join(', ')}, leased were 0 and 1`);
}

/** A coordinator that hears whatever a worker may say: without reducers' reports nothing is ever committed. */
function converseWithCoordinator(input: Uint8Array): void {
  const machine = new Coordinator({ ...OPTIONS, microBatches: 4 }, START, false);
  machine.start(0);
  let now = 1;
  machine.handle({ type: 'hello', session: SESSION, name: 'w', host: 'h', key: null }, now);
  for (const message of heard(workerToCoordinator, input)) {
    now += 10;
    const stats = { loss: 1, tokens: 1, correct: 0, sourceTokens: 1 };
    if (message.type === 'ready') machine.handle({ type: 'ready', session: SESSION, fingerprint: 'f' }, now);
    else if (message.type === 'heartbeat') machine.handle({ ...message, session: SESSION }, now);
    else if (message.type === 'computed') {
      const { level, seconds } = message;
      const all = Array.from({ length: Math.min(4, 2 ** level) }, () => stats);
      machine.handle({ type: 'computed', session: SESSION, node: message, stats: all, seconds }, now);
    } else if (message.type === 'evaluated') machine.handle({ ...message, session: SESSION, stats }, now);
  }
  machine.handle({ type: 'tick' }, now + 60_000);
  if (machine.state.progress.version !== 0) throw new Error('a step was committed that no reducer has');
}

const heartbeats = fc
  .sample(anyWorkerToCoordinator, { seed: SEED, numRuns: 60 })
  .filter(({ type }) => type === 'heartbeat')
  .map((heartbeat) => ({ ...heartbeat, ...envelope }));

export const protocolDecoders: readonly Decoder[] = [
  {
    name: 'frames',
    share: 30,
    words: ['{"type":'],
    inputs: [
      { type: 'attach', ...envelope } as const,
      { type: 'leave', ...envelope, reason: 'x' } as const,
    ].map((message) => Buffer.concat(encode(message))),
    decode: (input) => decodeFrames([input]),
  },
  messages('worker-to-coordinator', 25, workerToCoordinator, anyWorkerToCoordinator, (message) => {
    if (message.type === 'computed' || message.type === 'evaluated') decodeStats(message.payload, 1000);
  }),
  messages('coordinator-to-worker', 15, coordinatorToWorker, anyCoordinatorToWorker, (message) => {
    if (message.type !== 'lease' && message.type !== 'evaluate') return;
    checkTask(message, JOB);
    checkTokens(decodeSamples(message.payload, message), 10);
  }),
  messages('worker-to-reducer', 25, workerToReducer, anyWorkerToReducer),
  messages('reducer-to-worker', 15, reducerToWorker, anyReducerToWorker),
  {
    name: 'samples',
    share: 20,
    words: [],
    inputs: [
      Buffer.concat([Buffer.from([0, 1, 0]), SAMPLES]),
      Buffer.concat([Buffer.from([0, 0, 1]), encodeSamples([[[new Int32Array(40), new Int32Array(3)]]])]),
    ],
    decode: (input) => {
      const [microBatches = 0, samples = 0, sequences = 0] = input;
      const shape = {
        microBatches: 1 + microBatches,
        samples: 2 ** (samples % 50),
        sequences: sequences & 1 ? 2 : 1,
      };
      decodeSamples(input.subarray(3), shape as Parameters<typeof decodeSamples>[1]);
    },
  },
  { name: 'stats', share: 10, words: [], inputs: [STATS], decode: (input) => decodeStats(input, 1000) },
  {
    name: 'reducer',
    share: 5,
    words: ['"type":"withdraw"', '"type":"chunk"', '"type":"pull"'],
    inputs: [
      lines(
        { type: 'attach', ...envelope },
        { type: 'offer', ...envelope, ...node },
        { type: 'chunk', ...envelope, ...node, chunk: 1 },
        { type: 'chunk', ...envelope, ...node, chunk: 0 },
        { type: 'pull', ...envelope, version: 0, chunk: 2, received: 0 },
        { type: 'received', ...envelope, received: 1 },
      ),
      lines(
        { type: 'offer', ...envelope, ...node, index: 1 },
        { type: 'offer', ...envelope, ...node },
        { type: 'withdraw', ...envelope, ...node },
        { type: 'pull', ...envelope, version: 1, chunk: 0, received: 0 },
      ),
    ],
    decode: converseWithReducer,
  },
  {
    name: 'coordinator',
    share: 5,
    words: ['"type":"computed"', '"type":"evaluated"'],
    inputs: [
      lines(
        {
          type: 'ready',
          ...envelope,
          engine: { engine: 'native', matmul: 'm', isa: 'i' },
          probe: 'ab'.repeat(32),
        },
        ...heartbeats.slice(0, 2),
        { type: 'computed', ...envelope, ...node, level: 2, seconds: 1 },
        { type: 'evaluated', ...envelope, version: 0, index: 0 },
      ),
    ],
    decode: converseWithCoordinator,
  },
];
