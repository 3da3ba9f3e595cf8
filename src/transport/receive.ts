// The receive loop of a socket.
import type { Readable, Socket } from 'zeromq';
import { release } from '../engine/native/memory.js';

/** Messages after which the loop lets timers and other sockets have their turn. */
const MESSAGES_PER_TURN = 8;

/**
 * Frames from this size on give their memory back as soon as they are handled. zeromq.js tells V8 of it, so that a hundred
 * megabytes of gradients would be several full garbage collections, on every core.
 */
const LARGE_FRAME_BYTES = 64 * 1024;

/** Calls `handle` for every message until the socket is closed. The frames are valid until it returns. */
export async function receiveAll(
  socket: Socket & Readable<Buffer[]>,
  handle: (frames: Buffer[]) => void,
): Promise<void> {
  let messages = 0;
  try {
    for (;;) {
      const frames = await socket.receive();
      handle(frames);
      for (const frame of frames) if (frame.length >= LARGE_FRAME_BYTES) release(frame);
      if (++messages % MESSAGES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (socket.closed) return;
    }
  } catch (error) {
    if (!socket.closed) throw error;
  }
}
