// Keeps account of the lines of the input: how many there are, how many could not be read, and which were the first.

import { UserError } from '../util/errors.js';
import type { InputFile } from './inputs.js';
import type { Piece } from './pieces.js';
import type { LineReport } from './prepare-worker.js';
import { DESCRIBED_MALFORMED } from './records.js';

export interface MalformedPlace {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

export class LineTally {
  lines = 0;
  malformed = 0;
  readonly first: MalformedPlace[] = [];
  private file = -1;
  /** Lines of the file before the piece at hand. */
  private linesBefore = 0;

  constructor(private readonly inputs: readonly InputFile[]) {}

  /** Takes the report on a piece; every piece of a file, in order. */
  add(piece: Piece, report: LineReport): void {
    if (piece.file !== this.file) {
      this.file = piece.file;
      this.linesBefore = 0;
    }
    for (const { line, problem } of report.firstMalformed) {
      if (this.first.length === DESCRIBED_MALFORMED) break;
      this.first.push({ path: this.inputs[piece.file]!.path, line: this.linesBefore + line, problem });
    }
    this.linesBefore += report.lineBreaks;
    this.lines += report.lines;
    this.malformed += report.malformed;
  }

  /** @throws UserError INPUT_MALFORMED when more than `maxShare` of the lines are */
  check(maxShare: number): void {
    if (this.malformed <= maxShare * this.lines) return;
    const percent = (share: number): string => `${(share * 100).toFixed(2).replace(/\.?0+$/, '')} %`;
    const places = this.first.map(({ path, line, problem }) => `${path}:${line}: ${problem}`);
    throw new UserError(
      'INPUT_MALFORMED',
      `${this.malformed} of ${this.lines} lines (${percent(this.malformed / this.lines)}) cannot be read, more than the ` +
        `${percent(maxShare)} allowed by --max-malformed. The first:\n  ${places.join('\n  ')}`,
    );
  }
}
