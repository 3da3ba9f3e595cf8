// Text on a terminal, whose characters are not all of one width: two columns for a Chinese one or an emoji, none for an accent
// that joins a letter.
import stringWidth from 'string-width';

const graphemes = new Intl.Segmenter();

export const widthOf: (text: string) => number = stringWidth;

/** The beginning of a text that fits into so many columns. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let left = columns;
  let shown = '';
  for (const { segment } of graphemes.segment(text)) {
    left -= widthOf(segment);
    if (left < 0) break;
    shown += segment;
  }
  return shown;
}

/** Spaces that fill a text up to so many columns. */
export function padding(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - widthOf(text)));
}
