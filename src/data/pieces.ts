// The input as a stream of pieces of about one MiB, cut where neither a line nor a word is broken. The cuts depend on
// the bytes alone, so that whoever works on a piece, and when, cannot change the result.

import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { messageOf, UserError } from '../util/errors.js';
import { bytesToChange, isHeldOut } from './held-out.js';
import type { InputFile, InputFormat } from './inputs.js';

export interface Piece {
  /** Index into the list of inputs. */
  readonly file: number;
  readonly format: InputFormat;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offset of its first byte in the whole input, after decompression. */
  readonly offset: number;
  /** Text: whether it is held out (a piece lies in one part), and whether its document ends with it. */
  readonly heldOut: boolean;
  readonly endsDocument: boolean;
  /** A line longer than MAX_LINE_BYTES, of which `bytes` is the beginning: malformed. */
  readonly tooLong: boolean;
  /** Bytes read from disk when the piece was complete, all files together. */
  readonly diskBytes: number;
}

export interface PieceOptions {
  /** Share of the input that is held out. */
  readonly heldOutShare: number;
  readonly pieceBytes: number;
}

export const DEFAULT_PIECE_BYTES = 2 ** 20;
/** Longest line of a .jsonl or .tsv file. */
export const MAX_LINE_BYTES = 2 ** 24;
/** How far past its intended end a piece of text may go to find a good place for the cut. */
const SLACK_BYTES = 4096;
const NEWLINE = 0x0a;

/**
 * All pieces of all inputs, in order.
 * @throws UserError INPUT_DAMAGED when a file cannot be read or decompressed
 */
export async function* readPieces(
  inputs: readonly InputFile[],
  options: PieceOptions,
): AsyncGenerator<Piece> {
  let offset = 0;
  let diskBytes = 0;
  for (const [file, input] of inputs.entries()) {
    const reader = new ByteReader(input);
    try {
      const cut = input.format === 'text' ? textPieces : linePieces;
      for await (const piece of cut(reader, offset, options)) {
        yield { ...piece, file, format: input.format, diskBytes: diskBytes + reader.diskBytes };
      }
    } finally {
      reader.close();
    }
    offset += reader.position;
    diskBytes += input.bytes;
  }
}

type Cut = Omit<Piece, 'file' | 'format' | 'diskBytes'>;

/** Text is cut where it changes between the parts, else after about `pieceBytes`. */
async function* textPieces(reader: ByteReader, start: number, options: PieceOptions): AsyncGenerator<Cut> {
  await reader.skipByteOrderMark();
  for (;;) {
    const offset = start + reader.position;
    const share = options.heldOutShare;
    const wanted = bytesToChange(offset, share, options.pieceBytes);
    const window = await reader.peek(wanted + SLACK_BYTES);
    if (window.length === 0) return;
    const atEnd = window.length < wanted + SLACK_BYTES;
    const length = window.length <= wanted ? window.length : textCut(window, wanted, atEnd);
    const bytes = reader.take(length);
    const heldOut = isHeldOut(offset, share);
    const ended = (await reader.peek(1)).length === 0;
    const endsDocument = ended || isHeldOut(start + reader.position, share) !== heldOut;
    yield { bytes, offset, heldOut, endsDocument, tooLong: false };
  }
}

/**
 * Where to cut a window of text at or after `from`: before a line break, else before any white space, in both cases with
 * none before it: a word begins there whatever came before, so the tokens are those of the whole text. Where there is
 * neither, at the end of the file if that is in the window, else between two characters.
 */
function textCut(window: Uint8Array, from: number, atEnd: boolean): number {
  for (const isBreak of [(byte: number) => byte === NEWLINE, isSpace]) {
    for (let at = from; at < window.length; at++) {
      if (isBreak(window[at]!) && !endsWithSpace(window, at)) return at;
    }
  }
  if (atEnd) return window.length;
  let at = from;
  while (at < from + 3 && isContinuation(window[at]!)) at++;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** Whether the character before `at` is white space. */
function endsWithSpace(window: Uint8Array, at: number): boolean {
  let first = at - 1;
  while (first > 0 && first > at - 4 && isContinuation(window[first]!)) first--;
  return /\p{White_Space}$/u.test(Buffer.from(window.subarray(first, at)).toString('utf8'));
}

/** Whole lines, as many as fit. */
async function* linePieces(reader: ByteReader, start: number, options: PieceOptions): AsyncGenerator<Cut> {
  await reader.skipByteOrderMark();
  for (;;) {
    const offset = start + reader.position;
    const window = await reader.peek(options.pieceBytes);
    if (window.length === 0) return;
    let length = window.length < options.pieceBytes ? window.length : window.lastIndexOf(NEWLINE) + 1;
    let tooLong = false;
    if (length === 0) {
      const longer = await reader.peek(MAX_LINE_BYTES);
      const end = longer.indexOf(NEWLINE);
      length = end >= 0 ? end + 1 : longer.length;
      tooLong = end < 0 && longer.length === MAX_LINE_BYTES;
    }
    const bytes = reader.take(tooLong ? 0 : length);
    if (tooLong) await reader.skipLine();
    yield { bytes, offset, heldOut: false, endsDocument: false, tooLong };
  }
}

/** The bytes of a file after decompression, with look-ahead. */
class ByteReader {
  /** Bytes taken so far. */
  position = 0;
  private readonly file: ReturnType<typeof createReadStream>;
  private readonly chunks: AsyncIterator<Buffer>;
  private buffer: Buffer = Buffer.alloc(0);
  private ended = false;

  constructor(private readonly input: InputFile) {
    this.file = createReadStream(input.path, { highWaterMark: 2 ** 18 });
    // Errors of either stream surface where the bytes are read.
    const source: Readable = input.gzip ? pipeline(this.file, createGunzip(), () => {}) : this.file;
    this.chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  get diskBytes(): number {
    return this.file.bytesRead;
  }

  /** The next `length` bytes, fewer only at the end of the file. Valid until the next call. */
  async peek(length: number): Promise<Buffer> {
    if (this.buffer.length < length && !this.ended) {
      const parts = [this.buffer];
      let total = this.buffer.length;
      while (total < length) {
        const chunk = await this.nextChunk();
        if (chunk === null) break;
        parts.push(chunk);
        total += chunk.length;
      }
      this.buffer = Buffer.concat(parts, total);
    }
    return this.buffer.subarray(0, length);
  }

  /** Consumes bytes that were peeked at; the copy returned has a buffer of its own, which can be transferred. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    bytes.set(this.buffer.subarray(0, length));
    this.drop(length);
    return bytes;
  }

  async skipByteOrderMark(): Promise<void> {
    const start = await this.peek(3);
    if (start.length === 3 && start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf) this.drop(3);
  }

  /** Consumes up to and with the next line break. */
  async skipLine(): Promise<void> {
    for (;;) {
      const window = await this.peek(2 ** 18);
      const end = window.indexOf(NEWLINE);
      this.drop(end >= 0 ? end + 1 : window.length);
      if (end >= 0 || window.length === 0) return;
    }
  }

  close(): void {
    this.file.destroy();
  }

  private drop(length: number): void {
    this.buffer = this.buffer.subarray(length);
    this.position += length;
  }

  private async nextChunk(): Promise<Buffer | null> {
    try {
      const next = await this.chunks.next();
      if (!next.done) return next.value;
      this.ended = true;
      return null;
    } catch (error) {
      throw new UserError('INPUT_DAMAGED', `cannot read ${this.input.path}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}
