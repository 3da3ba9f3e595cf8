// The format of TensorBoard's event files: records (length, masked CRC-32C, data, masked CRC-32C of the data) that hold
// `Event` messages of protocol buffers. Only what is written here: scalars, text, and the mark of a new session.

const POLYNOMIAL = 0x82f63b78; // Castagnoli's, reversed

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A checksum of data that holds checksums itself, as the format wants it. */
function maskedCrc(data: Uint8Array): Buffer {
  const crc = crc32c(data);
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

/** One record of the file. */
function encodeRecord(data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

// ---- protocol buffers: a field is its number and wire type, then its value

function varint(value: number): Buffer {
  const bytes = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function integerField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + 1), bytes]);
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), bytes]);
}

function bytesField(field: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

/** tensorflow/core/framework/types.proto: DT_STRING. */
const STRING_TENSOR = 7;

export interface Point {
  readonly tag: string;
  /** A scalar, or a text in Markdown. */
  readonly value: number | string;
}

/** A value of tensorflow.Summary. */
function summaryValue({ tag, value }: Point): Buffer {
  if (typeof value === 'number') return Buffer.concat([bytesField(1, tag), floatField(2, value)]);
  const metadata = bytesField(1, bytesField(1, 'text')); // plugin_data.plugin_name
  const tensor = Buffer.concat([
    integerField(1, STRING_TENSOR),
    bytesField(2, ''), // tensor_shape: a scalar
    bytesField(8, value),
  ]);
  return Buffer.concat([bytesField(1, tag), bytesField(9, metadata), bytesField(8, tensor)]);
}

function event(wallTime: number, step: number, what: Buffer): Buffer {
  return encodeRecord(Buffer.concat([doubleField(1, wallTime), integerField(2, step), what]));
}

/** The first record of a file. `wallTime`: seconds since 1970. */
export function versionRecord(wallTime: number): Buffer {
  return encodeRecord(Buffer.concat([doubleField(1, wallTime), bytesField(3, 'brain.Event:2')]));
}

/** A session starts: what older files say of `step` and later steps is void. */
export function sessionStartRecord(wallTime: number, step: number): Buffer {
  return event(wallTime, step, bytesField(7, integerField(1, 1))); // session_log.status = START
}

export function pointsRecord(wallTime: number, step: number, points: readonly Point[]): Buffer {
  return event(
    wallTime,
    step,
    bytesField(5, Buffer.concat(points.map((point) => bytesField(1, summaryValue(point))))),
  );
}
