// The options of `prepare`, completed and checked: which files, which tokenizer, how much of what.

import { availableParallelism } from 'node:os';
import { UserError } from '../util/errors.js';
import { MAX_HELD_OUT_SHARE } from './held-out.js';
import { findInputs, type InputFile } from './inputs.js';
import { DEFAULT_PIECE_BYTES } from './pieces.js';
import { PREPARE_DEFAULTS, type PrepareOptions } from './prepare-options.js';
import type { RecordOptions } from './records.js';
import type { SpecialTokenNames } from './tokenizer.js';
import { checkTokenizerOptions } from './train-tokenizer.js';

/** The options, complete and checked. */
export interface Plan {
  readonly inputs: readonly InputFile[];
  /** Size of all inputs on disk. */
  readonly diskBytes: number;
  readonly out: string;
  readonly records: RecordOptions;
  readonly tokenizer: TokenizerPlan;
  readonly threads: number;
  readonly maxMalformedShare: number;
  readonly force: boolean;
  readonly shardBytes: number;
  readonly pieceBytes: number;
  readonly signal: AbortSignal | null;
}

export type TokenizerPlan =
  | {
      readonly kind: 'train';
      readonly vocabularySize: number;
      readonly specialTokens: readonly string[];
      readonly bytes: number;
    }
  | { readonly kind: 'given'; readonly file: string; readonly names: Partial<SpecialTokenNames> };

/** @throws UserError PREPARE_OPTIONS and those of the parts */
export async function planOf(options: PrepareOptions): Promise<Plan> {
  const settings = { ...PREPARE_DEFAULTS, ...options };
  const { pairs = false, force = false, signal = null, pieceBytes = DEFAULT_PIECE_BYTES } = options;
  checkShare('share held out', settings.validationShare, MAX_HELD_OUT_SHARE);
  checkShare('share of malformed lines', settings.maxMalformedShare, 1);
  const threads = settings.threads ?? availableParallelism();
  checkCount('number of threads', threads, 1, 1024);
  checkCount('size of a shard in bytes', settings.shardBytes, 64, 2 ** 40);
  checkCount('size of a piece in bytes', pieceBytes, 64, 2 ** 24);
  const tokenizer = tokenizerPlan(options);
  if (options.inputs.length === 0) throw optionFault('expected at least one input');
  const inputs = await findInputs(options.inputs, pairs);
  return {
    inputs,
    diskBytes: inputs.reduce((total, input) => total + input.bytes, 0),
    out: settings.out,
    records: { pairs, field: settings.field, heldOutShare: settings.validationShare },
    tokenizer,
    threads,
    maxMalformedShare: settings.maxMalformedShare,
    force,
    shardBytes: settings.shardBytes,
    pieceBytes,
    signal,
  };
}

function tokenizerPlan(options: PrepareOptions): TokenizerPlan {
  const { tokenizer: file, specialTokens = [] } = options;
  if (file !== undefined) {
    if (options.vocabularySize !== undefined || specialTokens.length > 0) {
      throw optionFault(
        'a given tokenizer has its own vocabulary and special tokens: leave those options out',
      );
    }
    return { kind: 'given', file, names: options.tokenNames ?? {} };
  }
  if (options.tokenNames !== undefined && Object.keys(options.tokenNames).length > 0) {
    throw optionFault('names of the pad, end and mask token go with a given tokenizer');
  }
  const { vocabularySize, tokenizerBytes: bytes } = { ...PREPARE_DEFAULTS, ...options };
  checkTokenizerOptions(vocabularySize, specialTokens);
  return { kind: 'train', vocabularySize, specialTokens, bytes };
}

function checkShare(name: string, value: number, max: number): void {
  if (!(value >= 0 && value <= max)) throw optionFault(`expected a ${name} from 0 to ${max}, got ${value}`);
}

function checkCount(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw optionFault(`expected a ${name} from ${min} to ${max}, got ${value}`);
}

function optionFault(problem: string): UserError {
  return new UserError('PREPARE_OPTIONS', `${problem}.`);
}
