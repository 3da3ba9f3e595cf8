// What a process of `lockstep` writes, line by line, and what is looked for in it.

/** A line of the log: pino's fields, or the plain text as `msg`. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

export function parseLine(line: string): LogLine {
  try {
    const value = JSON.parse(line) as unknown;
    if (typeof value === 'object' && value !== null) return { msg: '', ...value };
  } catch {
    // Not a line of the log: progress, or a result.
  }
  return { msg: line };
}

/** When a line of the log was written, ms since 1970. */
export function timeOf(line: LogLine): number {
  return Date.parse(String(line['time']));
}

/** A message, or its beginning where `start` ends with "…". */
export function says(start: string): (line: LogLine) => boolean {
  const text = start.replace(/…$/, '');
  return ({ msg }) => (text === start ? msg === text : msg.startsWith(text));
}

/** A lease of this step or a later one, for this worker or for any. */
export function isLease(fromStep = 0, worker?: string): (line: LogLine) => boolean {
  return (line) =>
    line.msg === 'lease' &&
    Number(line['step']) >= fromStep &&
    (worker === undefined || line['worker'] === worker);
}

export function isCommit(fromStep: number): (line: LogLine) => boolean {
  return (line) => line.msg === 'commit' && Number(line['step']) >= fromStep;
}

export function hasLeft(worker: string): (line: LogLine) => boolean {
  return ({ msg }) => msg.startsWith(`${worker} on `) && msg.includes(' left: ');
}
