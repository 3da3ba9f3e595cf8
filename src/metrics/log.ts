// The log of a process: JSON lines by pino, coloured text where a person reads along. Never on stdout, which is for results.

import { pino, type LevelWithSilent, type Logger } from 'pino';
import { PinoPretty, prettyFactory } from 'pino-pretty';

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** Which part speaks, for example `coordinator` or `worker`. */
  readonly name: string;
  /** A file to append to; default: stderr. */
  readonly file?: string;
  /** Readable text in place of JSON; default: when the log goes to a terminal. */
  readonly pretty?: boolean;
  /** Told each readable line in place of stderr, where that is a terminal on which something is drawn. */
  readonly onLine?: (text: string) => void;
}

/** A logger whose lines have left the process when a call returns, so that a crash loses none. */
export function createLogger(options: LogOptions): Logger {
  const { level, name, file, onLine } = options;
  const pretty = options.pretty ?? (file === undefined && process.stderr.isTTY);
  const settings = { level, name, timestamp: pino.stdTimeFunctions.isoTime };
  const destination = file ?? 2;
  if (!pretty) return pino(settings, pino.destination({ dest: destination, sync: true, mkdir: true }));
  if (onLine) {
    const readable = readableLog();
    return pino(settings, { write: (line) => onLine(readable(line)) });
  }
  return pino(settings, PinoPretty({ ...styleOf(file), destination, sync: true, mkdir: true }));
}

function styleOf(file: string | undefined): { colorize: boolean; ignore: string; translateTime: string } {
  return {
    colorize: file === undefined && process.stderr.isTTY && !process.env['NO_COLOR'],
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  };
}

/** Makes a JSON line of a log readable, as on a terminal; what is no such line stays as it is. */
export function readableLog(): (line: string) => string {
  const readable = prettyFactory(styleOf(undefined));
  return (line) => readable(line).trimEnd();
}
