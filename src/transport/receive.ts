// The receive loop of a socket.
import type { Readable, Socket } from 'zeromq';

/** Messages after which the loop lets timers and other sockets have their turn. */
const MESSAGES_PER_TURN = 8;

/** Calls `handle` for every message until the socket is closed. */
export async function receiveAll(
  socket: Socket & Readable<Buffer[]>,
  handle: (frames: Buffer[]) => void,
): Promise<void> {
  let messages = 0;
  try {
    for (;;) {
      handle(await socket.receive());
      if (++messages % MESSAGES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (socket.closed) return;
    }
  } catch (error) {
    if (!socket.closed) throw error;
  }
}
