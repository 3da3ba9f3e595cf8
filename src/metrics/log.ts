// The log of a process: JSON lines by pino, coloured text where a person reads along. Never on stdout, which is for results.

import { pino, type Logger } from 'pino';
import { PinoPretty } from 'pino-pretty';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** Which part speaks, for example `coordinator` or `worker`. */
  readonly name: string;
  /** A file to append to; default: stderr. */
  readonly file?: string;
  /** Readable text in place of JSON; default: when the log goes to a terminal. */
  readonly pretty?: boolean;
}

/** A logger whose lines have left the process when a call returns, so that a crash loses none. */
export function createLogger(options: LogOptions): Logger {
  const { level, name, file } = options;
  const pretty = options.pretty ?? (file === undefined && process.stderr.isTTY);
  const settings = { level, name, timestamp: pino.stdTimeFunctions.isoTime };
  const destination = file ?? 2;
  if (!pretty) return pino(settings, pino.destination({ dest: destination, sync: true, mkdir: true }));
  const stream = PinoPretty({
    destination,
    sync: true,
    mkdir: true,
    colorize: file === undefined && process.stderr.isTTY && !process.env['NO_COLOR'],
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  });
  return pino(settings, stream);
}
