// Some of the clients of `npm run bench -- incast` as a process of its own. The plan comes from the parent, and the process ends with it.
import { Dealer } from 'zeromq';
import { ChunkGrid } from '../../src/protocol/chunks.js';
import { encode, type ReducerAddress } from '../../src/protocol/messages.js';
import { z85, type ClientSecurity } from '../../src/transport/keys.js';
import { GradientPusher } from '../support/gradient-pusher.js';

export interface IncastPlan {
  readonly receivers: readonly ReducerAddress[];
  readonly trainable: number;
  readonly security: ClientSecurity | null;
  /** A client each: its session, and the micro-batch whose gradient it pushes in every step. */
  readonly clients: readonly { readonly session: string; readonly microBatch: number }[];
  /** Whether receivers understand what they are sent, or only drop it. */
  readonly kind: 'reducers' | 'sockets';
}

export const INCAST_TERM = 1;
/** What a client that knows no credit may have under way. */
const RAW_HIGH_WATER_MARK = 4;

/** Pushes to reducers: one step's gradient after the other, offered before the step begins. */
function push({ receivers, trainable, security, clients }: IncastPlan): void {
  const grid = new ChunkGrid(trainable, trainable);
  for (const { session, microBatch } of clients) {
    const node = { round: 0, level: 0, index: microBatch };
    for (const { url } of receivers) {
      const pusher = new GradientPusher(
        { url, envelope: { session, term: INCAST_TERM }, grid, wire: 'float32', security },
        {
          attached: () => pusher.offer({ ...node, step: 0 }),
          done: ({ step }) => pusher.offer({ ...node, step: step + 1 }),
          lost: (reason) => fail(reason),
        },
      );
    }
  }
}

/** Sends the same frames as fast as the sockets take them. */
function pour({ receivers, trainable, security, clients }: IncastPlan): void {
  const { chunkElements } = new ChunkGrid(trainable, trainable);
  const payload = new Uint8Array(chunkElements * 4);
  for (const { session, microBatch } of clients) {
    const envelope = { session, term: INCAST_TERM, step: 0, round: 0, level: 0, index: microBatch };
    const frames = encode({ type: 'chunk', ...envelope, chunk: 0 }, payload);
    for (const { url } of receivers) void pourInto(url, frames, security);
  }
}

async function pourInto(url: string, frames: Uint8Array[], security: ClientSecurity | null): Promise<never> {
  const socket = new Dealer({ sendHighWaterMark: RAW_HIGH_WATER_MARK, linger: 0 });
  if (security) {
    socket.curvePublicKey = z85(security.keys.publicKey);
    socket.curveSecretKey = z85(security.keys.secretKey);
    socket.curveServerKey = z85(security.coordinator);
  }
  socket.connect(url);
  for (;;) await socket.send(frames);
}

function fail(reason: string): never {
  process.stderr.write(`an incast client: ${reason}\n`);
  process.exit(1);
}

process.once('disconnect', () => process.exit());
process.once('message', (plan: IncastPlan) => (plan.kind === 'reducers' ? push(plan) : pour(plan)));
