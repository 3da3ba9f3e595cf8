// The receive loop of a socket.
import type { Readable, Socket } from 'zeromq';
import { release } from '../engine/native/memory.js';

/** Messages, or bytes, after which the loop lets timers and other sockets have their turn. */
const MESSAGES_PER_TURN = 8;
const BYTES_PER_TURN = 4 * 2 ** 20;

/**
 * Frames from this size on give their memory back when they are handled and the turn has ended. zeromq.js tells V8 of it, so
 * that a hundred megabytes of gradients would be several full garbage collections, on every core.
 */
const LARGE_FRAME_BYTES = 64 * 1024;

/** Calls `handle` for every message until the socket is closed. The frames are valid until it returns. */
export async function receiveAll(
  socket: Socket & Readable<Buffer[]>,
  handle: (frames: Buffer[]) => void,
): Promise<void> {
  let messages = 0;
  let bytes = 0;
  try {
    for (;;) {
      const frames = await socket.receive();
      for (const { length } of frames) bytes += length;
      handle(frames);
      for (const frame of frames) if (frame.length >= LARGE_FRAME_BYTES) release(frame);
      if (++messages >= MESSAGES_PER_TURN || bytes >= BYTES_PER_TURN) {
        await new Promise((resolve) => setImmediate(resolve));
        messages = bytes = 0;
      }
      if (socket.closed) return;
    }
  } catch (error) {
    if (!socket.closed) throw error;
  }
}
