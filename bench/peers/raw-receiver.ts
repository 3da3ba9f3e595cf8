// A thread that receives as a reducer does and drops what it receives: what sockets alone are capable of. It counts messages.
import { parentPort, workerData } from 'node:worker_threads';
import type { ServerSecurity } from '../../src/transport/keys.js';
import { RouterSocket } from '../../src/transport/router.js';

export interface RawReceiverSetup {
  readonly bind: string;
  readonly security: ServerSecurity | null;
  readonly maxFrameBytes: number;
  readonly maxWaiting: number;
  /** Int32: messages received. */
  readonly received: SharedArrayBuffer;
}

const setup = workerData as RawReceiverSetup;
const received = new Int32Array(setup.received);
const socket = new RouterSocket({ ...setup, heartbeatMs: 60_000 });
parentPort!.postMessage(await socket.bind(setup.bind));
parentPort!.once('message', () => socket.close());
await socket.receive({
  message: () => void Atomics.add(received, 0, 1),
  disconnected: () => undefined,
  overflowed: () => undefined,
});
