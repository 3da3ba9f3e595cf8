// A new byte-level BPE tokenizer from counted words: its vocabulary, and the Hugging Face files that hold it.

import { UserError } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { MAX_MERGES, trainBpe } from './bpe.js';
import { BYTE_CHARACTERS } from './byte-level.js';
import { DEFAULT_SPECIAL_TOKENS, type SpecialTokenNames } from './tokenizer.js';

/** A pair seen once is chance. */
const MINIMUM_PAIR_COUNT = 2;

/** The special tokens of a new tokenizer in the order of their ids. */
export function specialTokensOf(extra: readonly string[]): string[] {
  const { pad, end, mask } = DEFAULT_SPECIAL_TOKENS;
  return [...new Set([pad, end, mask, ...extra])];
}

/**
 * @throws UserError SPECIAL_TOKEN_INVALID: other characters could not be told from the byte alphabet when decoding, and
 * white space is where a long text is cut; VOCABULARY_TOO_SMALL, VOCABULARY_TOO_LARGE
 */
export function checkTokenizerOptions(vocabularySize: number, extra: readonly string[]): void {
  for (const token of extra) {
    if (!/^[\x21-\x7e]{2,}$/.test(token)) {
      throw new UserError(
        'SPECIAL_TOKEN_INVALID',
        `special token "${token}": expected two or more printable ASCII characters without spaces, for example <name>.`,
      );
    }
  }
  const least = specialTokensOf(extra).length + BYTE_CHARACTERS.length;
  if (vocabularySize < least) {
    throw new UserError(
      'VOCABULARY_TOO_SMALL',
      `expected a vocabulary of at least ${least} (256 bytes and ${least - 256} special tokens), got ${vocabularySize}.`,
    );
  }
  if (vocabularySize > least + MAX_MERGES) {
    throw new UserError(
      'VOCABULARY_TOO_LARGE',
      `expected a vocabulary of at most ${least + MAX_MERGES}, got ${vocabularySize}.`,
    );
  }
}

/**
 * The text of a tokenizer.json with at most `vocabularySize` tokens: the special ones, the 256 bytes in the order of
 * their characters, then one token for each merge. The post-processor ends a text with the end token, as Hugging Face's
 * users expect of a translation model's tokenizer.
 */
export async function trainTokenizer(
  words: Iterable<readonly [word: string, count: number]>,
  vocabularySize: number,
  extraSpecials: readonly string[],
  onProgress?: (share: number) => Promise<void>,
): Promise<string> {
  checkTokenizerOptions(vocabularySize, extraSpecials);
  const specials = specialTokensOf(extraSpecials);
  const wanted = vocabularySize - specials.length - BYTE_CHARACTERS.length;
  const merges = await trainBpe(words, {
    merges: wanted,
    minimumCount: MINIMUM_PAIR_COUNT,
    onProgress: async (done) => onProgress?.(done / wanted),
  });
  const symbols = [...BYTE_CHARACTERS];
  const spelled: [string, string][] = [];
  for (const [left, right] of merges) {
    spelled.push([symbols[left]!, symbols[right]!]);
    symbols.push(symbols[left]! + symbols[right]!);
  }
  return tokenizerJson(specials, [...specials, ...symbols], spelled);
}

function tokenizerJson(
  specials: readonly string[],
  vocabulary: readonly string[],
  merges: readonly (readonly [string, string])[],
): string {
  const { end, mask } = DEFAULT_SPECIAL_TOKENS;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const sequence = (id: string): object => ({ Sequence: { id, type_id: 0 } });
  const endToken = { SpecialToken: { id: end, type_id: 0 } };
  return jsonText({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: content === mask, // "The <mask> of": the space belongs to the word in the mask's place
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence('A'), endToken],
      pair: [sequence('A'), sequence('B'), endToken],
      special_tokens: { [end]: { id: end, ids: [specials.indexOf(end)], tokens: [end] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  });
}

/** The text of the tokenizer_config.json with which transformers' AutoTokenizer opens the tokenizer.json beside it. */
export function tokenizerConfigJson(tokens: SpecialTokenNames): string {
  return jsonText({
    tokenizer_class: 'PreTrainedTokenizerFast',
    pad_token: tokens.pad,
    eos_token: tokens.end,
    mask_token: tokens.mask,
    clean_up_tokenization_spaces: false,
    // The model takes no token types, and how long a text may be is in its config.
    model_input_names: ['input_ids', 'attention_mask'],
  });
}
