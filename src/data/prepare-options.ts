// What `prepare` may be told, and its defaults. Light: the command line imports it for its help.

import type { SpecialTokenNames } from './tokenizer.js';

export interface PrepareOptions {
  /** Files, folders and patterns. */
  readonly inputs: readonly string[];
  /** The folder to make. */
  readonly out: string;
  /** Pairs of source and target for `seq2seq` instead of text. Default: false. */
  readonly pairs?: boolean;
  /** Tokens of a new tokenizer; fewer when the text has no more pairs to merge. Default: 16,000. */
  readonly vocabularySize?: number;
  /** Further special tokens of a new tokenizer. */
  readonly specialTokens?: readonly string[];
  /** A tokenizer.json to use instead of a new one. */
  readonly tokenizer?: string;
  /** What a given tokenizer calls its special tokens, where its tokenizer_config.json does not say. */
  readonly tokenNames?: Partial<SpecialTokenNames>;
  /** Share of the input held out for validation, 0 to 0.5. Default: 0.02. */
  readonly validationShare?: number;
  /** Field of a .jsonl line that holds its text. Default: text. */
  readonly field?: string;
  /** Threads that work on pieces. Default: one for each core. */
  readonly threads?: number;
  /** Share of lines that may be malformed. Default: 0.01. */
  readonly maxMalformedShare?: number;
  /** Replace a folder that is not an earlier data set. Default: false. */
  readonly force?: boolean;
  /** Largest shard file. Default: 256 MiB. */
  readonly shardBytes?: number;
  /** About how much of the input, on disk, a new tokenizer is trained on: pieces at even distances. Default: 512 MiB. */
  readonly tokenizerBytes?: number;
  /** Size of a piece. Default: 1 MiB. */
  readonly pieceBytes?: number;
  /** Stops the work and removes what was written. */
  readonly signal?: AbortSignal;
}

export const PREPARE_DEFAULTS = {
  vocabularySize: 16_000,
  validationShare: 0.02,
  field: 'text',
  maxMalformedShare: 0.01,
  shardBytes: 2 ** 28,
  tokenizerBytes: 2 ** 29,
} as const;
