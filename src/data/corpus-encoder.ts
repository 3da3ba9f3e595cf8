// Encodes large amounts of text. Natural text repeats its words, so for byte-level tokenizers like those trained here
// each distinct word goes through the engine once; any other tokenizer gets the whole text. The ids are the same either way.

import { byteLevelPreTokenizer, Tokenizer as Engine } from 'tokenizers';
import { splitWords, spellBytes, tokenSplitter } from './byte-level.js';

/** Words remembered, and characters in them, before the memory is emptied. */
const MAX_WORDS = 500_000;
const MAX_CHARACTERS = 2 ** 25;

export class CorpusEncoder {
  private readonly engine: Engine;
  private readonly words: WordMemory | null;

  /** `tokenizerJson`: the text of a tokenizer.json that the engine accepts. */
  constructor(tokenizerJson: string, useWords = true) {
    this.engine = Engine.fromString(tokenizerJson);
    this.engine.disableTruncation();
    this.engine.disablePadding();
    const added = useWords ? splittableTokens(JSON.parse(tokenizerJson)) : null;
    this.words = added && new WordMemory(this.engine, added);
  }

  /** Ids of each text, without end tokens. */
  async encode(texts: readonly string[]): Promise<Int32Array[]> {
    if (this.words === null) return this.encodeWhole(texts);
    const found = await this.words.encode(texts);
    const rest = texts.filter((_, index) => found[index] === null);
    const whole = await this.encodeWhole(rest);
    let next = 0;
    return found.map((ids) => ids ?? whole[next++]!);
  }

  private async encodeWhole(texts: readonly string[]): Promise<Int32Array[]> {
    const ids: Int32Array[] = [];
    // One by one: an encoding holds far more than its ids.
    for (const text of texts) {
      const encoding = await this.engine.encode(text, null, { addSpecialTokens: false });
      ids.push(Int32Array.from(encoding.getIds()));
    }
    return ids;
  }
}

/** What decides whether a tokenizer can be fed word by word. Everything is optional: the engine has the last word. */
interface TokenizerShape {
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: { type?: string; add_prefix_space?: boolean; use_regex?: boolean } | null;
  readonly model?: { type?: string };
  readonly added_tokens?: readonly AddedTokenShape[];
}

interface AddedTokenShape {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

/** Ids of the added tokens; null for one that takes in the space beside it, so that its text must be encoded whole. */
type AddedTokens = ReadonlyMap<string, number | null>;

/** The added tokens of a tokenizer that treats each word by itself (byte-level BPE in GPT-2's manner); null for any other. */
function splittableTokens(json: unknown): AddedTokens | null {
  const { normalizer, pre_tokenizer: pre, model, added_tokens: added = [] } = json as TokenizerShape;
  const byWord = pre?.type === 'ByteLevel' && pre.add_prefix_space === false && pre.use_regex !== false;
  if (!byWord || model?.type !== 'BPE' || (normalizer ?? null) !== null) return null;
  // The engine cuts those to be matched after normalisation in a second round.
  const sameRound = added.every((token) => token.normalized === added[0]!.normalized);
  if (!sameRound) return null;
  const isPlain = (token: AddedTokenShape): boolean => !token.single_word && !token.lstrip && !token.rstrip;
  const named = added.filter(({ content }) => content !== '');
  return new Map(named.map((token) => [token.content, isPlain(token) ? token.id : null]));
}

/** The ids of words met so far. */
class WordMemory {
  private readonly split: (text: string) => string[];
  private readonly characters = new CharacterCheck();
  private readonly known = new Map<string, readonly number[]>();
  private size = 0;

  constructor(
    private readonly engine: Engine,
    private readonly added: AddedTokens,
  ) {
    this.split = tokenSplitter([...added.keys()]);
  }

  /** Ids of each text; null where the engine would cut words elsewhere than we do. */
  async encode(texts: readonly string[]): Promise<(Int32Array | null)[]> {
    if (this.known.size > MAX_WORDS || this.size > MAX_CHARACTERS) {
      this.known.clear();
      this.size = 0;
    }
    const found = texts.map((text) => this.lookUp(text));
    await this.learn(found.flatMap((text) => text.missing));
    return found.map((text) => this.idsOf(text));
  }

  private lookUp(text: string): FoundWords {
    const words: (readonly number[] | string)[] = [];
    const missing: string[] = [];
    for (const [index, part] of this.split(text).entries()) {
      if (index % 2 === 1) {
        const id = this.added.get(part)!;
        words.push(id === null ? part : [id]); // never known as a word: the text is encoded whole
        continue;
      }
      for (const word of splitWords(part)) {
        const ids = this.known.get(word);
        words.push(ids ?? word);
        if (ids === undefined) missing.push(word);
      }
    }
    return { words, missing };
  }

  /** Encodes new words, but for those with a character about which the engine disagrees. */
  private async learn(words: readonly string[]): Promise<void> {
    const agreed = [...new Set(words)].filter((word) => this.characters.agree(word));
    const encodings = await this.engine.encodeBatch(agreed, { addSpecialTokens: false });
    for (const [index, word] of agreed.entries()) {
      this.known.set(word, encodings[index]!.getIds());
      this.size += word.length;
    }
  }

  private idsOf({ words }: FoundWords): Int32Array | null {
    const ids: number[] = [];
    for (const word of words) {
      const wordIds = typeof word === 'string' ? this.known.get(word) : word;
      if (wordIds === undefined) return null;
      for (const id of wordIds) ids.push(id);
    }
    return Int32Array.from(ids);
  }
}

/** A text as the ids of its words, with the word itself where they are not known; those words once more. */
interface FoundWords {
  readonly words: readonly (readonly number[] | string)[];
  readonly missing: readonly string[];
}

/**
 * Whether Node and the engine, which follow different versions of Unicode, take a character for the same kind (letter,
 * number, white space, other): else they would cut words in different places. Asked once for each character.
 */
class CharacterCheck {
  private readonly preTokenizer = byteLevelPreTokenizer(false, true);
  private readonly asked = new Map<string, boolean>();

  agree(word: string): boolean {
    if (/^[\0-\x7f]*$/.test(word)) return true;
    for (const character of word) if (character > '\x7f' && !this.agreeOn(character)) return false;
    return true;
  }

  private agreeOn(character: string): boolean {
    let same = this.asked.get(character);
    if (same === undefined) {
      const probe = `a${character}1${character}! ${character}b`;
      const theirs = this.preTokenizer.preTokenizeString(probe).map(([word]) => word);
      same = theirs.join('\n') === splitWords(probe).map(spellBytes).join('\n');
      this.asked.set(character, same);
    }
    return same;
  }
}
