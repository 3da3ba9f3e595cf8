// Lines of styled text that can be cut to a terminal's width before they become escape codes.
import { cut, widthOf } from '../util/columns.js';

export type Style = 'plain' | 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

export type Line = readonly Span[];

const CODES: Readonly<Record<Style, number | null>> = {
  plain: null,
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  cyan: 36,
};

export function span(text: string, style: Style = 'plain'): Span {
  return { text, style };
}

/** Parts of a line, two spaces apart; empty ones leave no gap. */
export function joined(parts: readonly (Line | null)[]): Line {
  const shown = parts.filter((part) => part !== null && part.length > 0) as Line[];
  return shown.flatMap((part, i) => (i === 0 ? part : [span('  '), ...part]));
}

export function columnsOfLine(line: Line): number {
  return line.reduce((columns, { text }) => columns + widthOf(text), 0);
}

/** At most `columns` columns of the line, with escape codes if `colour`. */
export function renderLine(line: Line, columns: number, colour: boolean): string {
  let left = columns;
  let rendered = '';
  for (const { text, style } of line) {
    const shown = cut(text, left);
    left -= widthOf(shown);
    const code = CODES[style];
    rendered += colour && code !== null && shown !== '' ? `\x1b[${code}m${shown}\x1b[0m` : shown;
    if (shown !== text) break;
  }
  return rendered;
}

/** Whether a stream may be sent colours. */
export function hasColour(
  stream: { readonly isTTY?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

/** Of a terminal; some report 0 columns, which is to say that they do not know. */
export function columnsOf({ columns = 0 }: { readonly columns?: number }): number {
  return columns > 0 ? columns : 80;
}

export function rowsOf({ rows = 0 }: { readonly rows?: number }): number {
  return rows > 0 ? rows : 24;
}
