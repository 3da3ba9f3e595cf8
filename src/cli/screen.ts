// The lower part of a terminal, redrawn in place: a frame of lines with everything that is logged above it. Each
// drawing is one write, in the terminal's synchronised mode, and hides the cursor only while it lasts: nothing
// flickers, and however the process ends there is nothing to restore.
import type { Writable } from 'node:stream';
import { columnsOf, renderLine, rowsOf, columnsOfLine, type Line } from './spans.js';

/** A terminal, or whatever else the lines go to. */
export type TextStream = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

const BEGIN = '\x1b[?2026h\x1b[?25l';
const END = '\x1b[?25h\x1b[?2026l';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export class Screen {
  private lines: readonly Line[] = [];
  /** Widths of the lines as they stand on the terminal. */
  private drawn: readonly number[] = [];
  private readonly onResize = (): void => this.draw('');

  constructor(
    private readonly stream: TextStream,
    private readonly colour: boolean,
  ) {
    stream.on('resize', this.onResize);
  }

  get rows(): number {
    return rowsOf(this.stream);
  }

  /** Replaces the frame. */
  show(lines: readonly Line[]): void {
    this.lines = lines;
    this.draw('');
  }

  /** Writes a line of text above the frame; it stays there. */
  log(text: string): void {
    this.draw(
      text
        .split('\n')
        .map((line) => `${line}${CLEAR_LINE}\n`)
        .join(''),
    );
  }

  /** Leaves the last frame where it is. */
  close(): void {
    this.stream.off('resize', this.onResize);
  }

  private draw(above: string): void {
    const columns = Math.max(1, columnsOf(this.stream) - 1); // the last column would wrap
    const lines = this.lines.slice(0, Math.max(1, this.rows - 1));
    const frame = lines.map((line) => `${renderLine(line, columns, this.colour)}${CLEAR_LINE}\n`).join('');
    this.stream.write(`${BEGIN}${this.toTop()}${above}${frame}${CLEAR_BELOW}${END}`);
    this.drawn = lines.map((line) => Math.min(columns, columnsOfLine(line)));
  }

  /** To where the last frame begins: a terminal that became narrower has wrapped its lines. */
  private toTop(): string {
    const columns = columnsOf(this.stream);
    const rows = this.drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? '\r' : `\r\x1b[${rows}A`;
  }
}
