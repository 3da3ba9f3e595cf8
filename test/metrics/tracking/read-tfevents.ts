// Reads TensorBoard's event files, written apart from what writes them: checks every checksum, and decodes the fields
// of protocol buffers by their wire types.

import assert from 'node:assert/strict';
import { crc32c } from '../../../src/metrics/tracking/tfevents.js';

/** By field number: numbers, or bytes. */
export type Message = ReadonlyMap<number, readonly (number | Buffer)[]>;

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** The data of each record. */
function readRecords(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    assert.equal(
      unmask(file.readUInt32LE(at + 8)),
      crc32c(file.subarray(at, at + 8)),
      'checksum of the length',
    );
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(unmask(file.readUInt32LE(at + 12 + length)), crc32c(data), 'checksum of the data');
    records.push(data);
    at += 16 + length;
  }
  return records;
}

function decodeMessage(data: Buffer): Message {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = data[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const wire = key % 8;
    let value: number | Buffer;
    if (wire === 0) value = varint();
    else if (wire === 1) value = data.readDoubleLE((at += 8) - 8);
    else if (wire === 5) value = data.readFloatLE((at += 4) - 4);
    else {
      const length = varint();
      value = data.subarray(at, (at += length));
    }
    fields.set(Math.floor(key / 8), [...(fields.get(Math.floor(key / 8)) ?? []), value]);
  }
  return fields;
}

export interface TensorBoardEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly fileVersion: string | undefined;
  readonly startsSession: boolean;
  readonly scalars: Readonly<Record<string, number>>;
  readonly texts: Readonly<Record<string, string>>;
}

function part(message: Message, ...path: readonly number[]): Buffer | undefined {
  const [field, ...rest] = path;
  const value = message.get(field!)?.[0];
  if (!Buffer.isBuffer(value)) return undefined;
  return rest.length === 0 ? value : part(decodeMessage(value), ...rest);
}

export function readEvents(file: Buffer): TensorBoardEvent[] {
  return readRecords(file).map((record) => {
    const event = decodeMessage(record);
    const summary = part(event, 5);
    const values = summary ? (decodeMessage(summary).get(1) ?? []) : [];
    const scalars: Record<string, number> = {};
    const texts: Record<string, string> = {};
    for (const value of values.map((bytes) => decodeMessage(bytes as Buffer))) {
      const tag = String(part(value, 1));
      const scalar = value.get(2)?.[0];
      if (typeof scalar === 'number') scalars[tag] = scalar;
      if (String(part(value, 9, 1, 1)) === 'text') texts[tag] = String(part(value, 8, 8));
    }
    const session = part(event, 7);
    return {
      wallTime: event.get(1)?.[0] as number,
      step: (event.get(2)?.[0] ?? 0) as number,
      fileVersion: part(event, 3)?.toString(),
      startsSession: session !== undefined && decodeMessage(session).get(1)?.[0] === 1,
      scalars,
      texts,
    };
  });
}
