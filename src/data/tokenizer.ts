// A tokenizer as the trainer and the commands use it: text to ids and back, by Hugging Face's own engine (the
// npm package `tokenizers`), from a `tokenizer.json`. Training one is in train-tokenizer.ts.

import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Tokenizer as Engine } from 'tokenizers';
import { messageOf, UserError } from '../util/errors.js';
import { isObject } from '../util/json.js';

/** The special tokens every model here needs, by content. */
export interface SpecialTokenNames {
  readonly pad: string;
  readonly end: string;
  readonly mask: string;
}

/** The special tokens of a tokenizer trained here; their ids are 0, 1 and 2. */
export const DEFAULT_SPECIAL_TOKENS: SpecialTokenNames = { pad: '<pad>', end: '</s>', mask: '<mask>' };

export interface Tokenizer {
  /**
   * Ids of a text, without an end token. A special token written out in the text is recognised as such. A lone
   * surrogate, which no UTF-8 text can hold, becomes U+FFFD.
   */
  encode(text: string): Promise<Int32Array>;
  /** The text of ids; `skipSpecial` leaves special tokens out. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: ArrayLike<number>, options: { readonly skipSpecial: boolean }): Promise<string>;
  /** The text that each id adds behind other text, with the space it begins with; by id, "" where there is no token. */
  texts(): Promise<string[]>;
  /** The token of an id as the vocabulary spells it, or null. */
  readonly padId: number;
  readonly endId: number;
  readonly maskId: number;
  /** Largest id + 1: the rows of the model's embedding. */
  readonly vocabularySize: number;
  /** Ids of all special tokens, ascending. */
  readonly specialIds: readonly number[];
  readonly specialTokens: SpecialTokenNames;
}

/**
 * Opens a `tokenizer.json`. The names of its special tokens are, in this order: those given, those in a
 * `tokenizer_config.json` beside it (`pad_token`, `eos_token`, `mask_token`), ours.
 * @throws UserError TOKENIZER_INVALID for a file that cannot be read; TOKENIZER_TOKEN_MISSING without pad, end or mask.
 */
export async function loadTokenizer(
  file: string,
  names: Partial<SpecialTokenNames> = {},
): Promise<Tokenizer> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw invalid(file, error);
  });
  const configFile = join(dirname(file), basename(file).replace(/^tokenizer/, 'tokenizer_config'));
  const config = await readFile(configFile, 'utf8').catch(() => null);
  return parseTokenizer(text, config, file, names);
}

/** As loadTokenizer, from the text of `file` and that of the tokenizer_config.json beside it, where there is one. */
export function parseTokenizer(
  text: string,
  config: string | null,
  file: string,
  names: Partial<SpecialTokenNames> = {},
): Tokenizer {
  const { engine, json } = openEngine(text, file);
  const specialTokens = { ...DEFAULT_SPECIAL_TOKENS, ...configuredNames(config), ...names };
  const idOf = (role: keyof SpecialTokenNames): number => {
    const id = engine.tokenToId(specialTokens[role]);
    if (id !== null) return id;
    throw new UserError(
      'TOKENIZER_TOKEN_MISSING',
      `${file} has no ${role} token: "${specialTokens[role]}" is not in its vocabulary. Name another with --${role}-token TOKEN.`,
    );
  };
  const padId = idOf('pad');
  const endId = idOf('end');
  const maskId = idOf('mask');
  const ids = Object.values(engine.getVocab(true));
  const vocabularySize = ids.reduce((largest, id) => Math.max(largest, id), -1) + 1;
  return {
    async encode(text) {
      const encoding = await engine.encode(text, null, { addSpecialTokens: false });
      return Int32Array.from(encoding.getIds());
    },
    decode: (tokens, { skipSpecial }) => engine.decode(Array.from(tokens), skipSpecial),
    async texts() {
      // What stands first in a text may be decoded without its space.
      const before = (await engine.encode('a', null, { addSpecialTokens: false })).getIds();
      const behind = Array.from({ length: vocabularySize }, (_, id) => [...before, id]);
      const [start, ...texts] = await engine.decodeBatch([before, ...behind], false);
      return texts.map((text) => text.slice(start!.length));
    },
    padId,
    endId,
    maskId,
    vocabularySize,
    specialIds: [...new Set([padId, endId, maskId, ...specialIdsOf(json)])].sort((a, b) => a - b),
    specialTokens,
  };
}

/** The token of an id as the vocabulary of a `tokenizer.json` spells it, or null; its special tokens may be any. */
export function parseVocabulary(text: string, file: string): (id: number) => string | null {
  const { engine } = openEngine(text, file);
  return (id) => engine.idToToken(id);
}

function invalid(file: string, cause: unknown): UserError {
  const message = `expected a Hugging Face tokenizer.json at ${file}: ${messageOf(cause)}`;
  return new UserError('TOKENIZER_INVALID', message, { cause });
}

function openEngine(text: string, file: string): { engine: Engine; json: TokenizerJson } {
  try {
    const engine = Engine.fromString(text);
    // A tokenizer.json may ask for truncation and padding, which would change a corpus in silence.
    engine.disableTruncation();
    engine.disablePadding();
    const json = JSON.parse(text) as TokenizerJson;
    if (json.model?.dropout) throw new Error('it drops merges at random (model.dropout)');
    return { engine, json };
  } catch (error) {
    throw invalid(file, error);
  }
}

/** What is read of a tokenizer.json; the engine has checked the rest. */
interface TokenizerJson {
  readonly model?: { readonly dropout?: number | null };
  readonly added_tokens?: readonly { readonly id: number; readonly special?: boolean }[];
}

function specialIdsOf(json: TokenizerJson): number[] {
  return (json.added_tokens ?? []).filter((token) => token.special === true).map((token) => token.id);
}

/** Special tokens named by a tokenizer_config.json. */
function configuredNames(text: string | null): Partial<SpecialTokenNames> {
  let config: unknown;
  try {
    config = JSON.parse(text ?? '{}');
  } catch {
    return {};
  }
  if (!isObject(config)) return {};
  const pad = contentOf(config.pad_token);
  const end = contentOf(config.eos_token);
  const mask = contentOf(config.mask_token);
  return {
    ...(pad === undefined ? {} : { pad }),
    ...(end === undefined ? {} : { end }),
    ...(mask === undefined ? {} : { mask }),
  };
}

/** Older files write a token as an object with its content. */
function contentOf(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token !== 'object' || token === null || !('content' in token)) return undefined;
  return typeof token.content === 'string' ? token.content : undefined;
}
