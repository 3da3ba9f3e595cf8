// The envelope of every message: a header frame (magic, checksums, JSON) and at most one payload frame of raw
// numbers. What arrives is checked here before any field of it is looked at.
import { crc32 } from '../engine/native/memory.js';

/** "LKS" and the protocol's version. */
const MAGIC = 0x4c4b5304;
const PREFIX_BYTES = 16;
export const MAX_HEADER_BYTES = 64 * 1024;

/**
 * A message that is not what this protocol allows: the connection it came from is closed. `fault`: whether its bytes
 * were damaged on the way, or it was never right.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';

  constructor(
    message: string,
    readonly fault: 'checksum' | 'malformed' = 'malformed',
  ) {
    super(message);
  }
}

/**
 * Header frame: magic, CRC-32 of the rest of the frame, payload bytes, CRC-32 of the payload (all uint32,
 * little-endian), then the header as JSON. An empty payload has no frame. `payloadCrc` saves computing it again for a payload sent to many.
 */
export function encodeFrames(header: object, payload?: Uint8Array, payloadCrc?: number): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(header));
  const hasPayload = payload !== undefined && payload.length > 0;
  const frame = Buffer.alloc(PREFIX_BYTES + json.length);
  frame.writeUInt32LE(MAGIC, 0);
  frame.writeUInt32LE(payload?.length ?? 0, 8);
  frame.writeUInt32LE(hasPayload ? (payloadCrc ?? crc32(payload)) : 0, 12);
  json.copy(frame, PREFIX_BYTES);
  frame.writeUInt32LE(crc32(frame.subarray(8)), 4);
  return hasPayload ? [frame, payload] : [frame];
}

/** The header as parsed JSON, still to be checked field by field, and the payload (empty when there is none). */
export function decodeFrames(frames: readonly Uint8Array[]): { header: unknown; payload: Uint8Array } {
  const [head, payload = new Uint8Array(0)] = frames;
  if (!head || frames.length > 2) throw new ProtocolError(`expected 1 or 2 frames, got ${frames.length}`);
  if (frames.length === 2 && payload.length === 0) throw new ProtocolError('the payload frame is empty');
  if (head.length <= PREFIX_BYTES || head.length > MAX_HEADER_BYTES) {
    throw new ProtocolError(
      `expected a header of ${PREFIX_BYTES + 1} to ${MAX_HEADER_BYTES} bytes, got ${head.length}`,
    );
  }
  const frame = Buffer.from(head.buffer, head.byteOffset, head.length);
  const magic = frame.readUInt32LE(0);
  if (magic !== MAGIC) {
    throw new ProtocolError(
      `expected protocol ${MAGIC.toString(16)}, got ${magic.toString(16)}: is the other side another version?`,
    );
  }
  if (frame.readUInt32LE(4) !== crc32(frame.subarray(8)))
    throw new ProtocolError('the header does not match its checksum', 'checksum');
  if (frame.readUInt32LE(8) !== payload.length) {
    throw new ProtocolError(`expected a payload of ${frame.readUInt32LE(8)} bytes, got ${payload.length}`);
  }
  if (payload.length > 0 && frame.readUInt32LE(12) !== crc32(payload)) {
    throw new ProtocolError('the payload does not match its checksum', 'checksum');
  }
  try {
    return { header: JSON.parse(frame.toString('utf8', PREFIX_BYTES)) as unknown, payload };
  } catch {
    throw new ProtocolError('the header is not JSON');
  }
}
