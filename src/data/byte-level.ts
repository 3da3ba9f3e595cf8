// Byte-level text, as GPT-2 has it and Hugging Face's `ByteLevel` pre-tokenizer repeats it: how text is cut into
// words, and which character stands for which byte in a vocabulary.

/** The 188 bytes that stand for themselves: printable, no space. */
const PRINTABLE = [...range(0x21, 0x7e), ...range(0xa1, 0xac), ...range(0xae, 0xff)];
const PRINTABLE_SET = new Set(PRINTABLE);

/** All 256 bytes in the order of the characters that stand for them, which is the order of their ids. */
export const BYTE_ORDER: readonly number[] = [
  ...PRINTABLE,
  ...range(0, 255).filter((byte) => !PRINTABLE_SET.has(byte)),
];

/** The character of each of BYTE_ORDER: itself where printable, else the next from U+0100. */
export const BYTE_CHARACTERS: readonly string[] = BYTE_ORDER.map((byte, rank) =>
  String.fromCodePoint(rank < PRINTABLE.length ? byte : 0x100 + rank - PRINTABLE.length),
);

const CHARACTER_OF_BYTE = new Map(BYTE_ORDER.map((byte, rank) => [byte, BYTE_CHARACTERS[rank]!]));

/** A text as a vocabulary spells it: a character for each byte of its UTF-8. */
export function spellBytes(text: string): string {
  return Array.from(Buffer.from(text, 'utf8'), (byte) => CHARACTER_OF_BYTE.get(byte)!).join('');
}

// The expression of GPT-2's encoder. White_Space is what \s means to the engine: JavaScript's own \s has U+FEFF
// and lacks U+0085.
const WORD =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The words of a text in order; their concatenation is the text. Tokens never cross from one into the next. */
export function splitWords(text: string): readonly string[] {
  return text.match(WORD) ?? [];
}

/**
 * Cuts a text at the given tokens as the engine does: leftmost first, the longest of those that begin there.
 * Even elements of the result are text (possibly empty), odd ones are tokens.
 */
export function tokenSplitter(tokens: readonly string[]): (text: string) => string[] {
  if (tokens.length === 0) return (text) => [text];
  const longestFirst = [...tokens].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const escaped = longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  const pattern = new RegExp(`(${escaped.join('|')})`, 'u');
  return (text) => text.split(pattern);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
