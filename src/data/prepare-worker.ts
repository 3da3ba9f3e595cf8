// What `prepare` does to a piece of the input, in a thread of the pool: count its words, or encode it.

import { readFile } from 'node:fs/promises';
import { splitWords, tokenSplitter } from './byte-level.js';
import { CorpusEncoder } from './corpus-encoder.js';
import type { Piece } from './pieces.js';
import { parsePiece, type Entry, type MalformedLine, type RecordOptions } from './records.js';

/** What was found about the lines of a piece. */
export interface LineReport {
  readonly lines: number;
  readonly lineBreaks: number;
  readonly malformed: number;
  readonly firstMalformed: readonly MalformedLine[];
}

export interface CountTask {
  readonly piece: Piece;
  readonly records: RecordOptions;
  /** Text is cut at them, and they are not counted. */
  readonly specialTokens: readonly string[];
}

export interface CountResult extends LineReport {
  readonly words: ReadonlyMap<string, number>;
}

/** Counts the words of what is not held out. */
export function countWords({ piece, records, specialTokens }: CountTask): CountResult {
  const { entries, ...report } = parsePiece(piece, records);
  const split = tokenSplitter(specialTokens);
  const words = new Map<string, number>();
  for (const entry of entries) {
    if (entry.heldOut) continue;
    for (const text of entry.texts) {
      for (const [index, part] of split(text).entries()) {
        if (index % 2 === 1) continue;
        for (const word of splitWords(part)) words.set(word, (words.get(word) ?? 0) + 1);
      }
    }
  }
  return { ...report, words };
}

export interface EncodeTask {
  readonly piece: Piece;
  readonly records: RecordOptions;
  readonly tokenizerFile: string;
  readonly endId: number;
}

/** The tokens of one part of a piece. Text: each document followed by the end token. Pairs: none; `lengths` divides them. */
export interface EncodedPart {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** Documents that end in it, or pairs. */
  readonly documents: number;
}

export interface EncodeResult extends LineReport {
  readonly train: EncodedPart;
  readonly validation: EncodedPart;
}

/** This thread's encoder. A thread of the pool serves one `prepare`, so one tokenizer. */
let encoder: Promise<CorpusEncoder> | null = null;

export async function encodePiece(task: EncodeTask): Promise<EncodeResult> {
  const { piece, records, endId } = task;
  encoder ??= readFile(task.tokenizerFile, 'utf8').then((json) => new CorpusEncoder(json));
  const { entries, ...report } = parsePiece(piece, records);
  const encoded = await (await encoder).encode(entries.flatMap((entry) => entry.texts));
  const train = new PartBuilder(records.pairs, endId);
  const validation = new PartBuilder(records.pairs, endId);
  let next = 0;
  for (const entry of entries) {
    const texts = encoded.slice(next, next + entry.texts.length);
    next += entry.texts.length;
    (entry.heldOut ? validation : train).add(entry, texts);
  }
  return { ...report, train: train.build(), validation: validation.build() };
}

/** Gathers the tokens of one part. */
class PartBuilder {
  private readonly arrays: ArrayLike<number>[] = [];
  private readonly lengths: number[] = [];
  private length = 0;
  private documents = 0;

  constructor(
    private readonly pairs: boolean,
    private readonly endId: number,
  ) {}

  add(entry: Entry, texts: readonly Int32Array[]): void {
    for (const ids of texts) {
      this.push(ids);
      if (this.pairs) this.lengths.push(ids.length);
    }
    if (!entry.ends) return;
    this.documents++;
    if (!this.pairs) this.push([this.endId]);
  }

  build(): EncodedPart {
    const ids = new Uint32Array(this.length);
    let at = 0;
    for (const array of this.arrays) {
      ids.set(array, at);
      at += array.length;
    }
    return { ids, lengths: Uint32Array.from(this.lengths), documents: this.documents };
  }

  private push(ids: ArrayLike<number>): void {
    this.arrays.push(ids);
    this.length += ids.length;
  }
}
