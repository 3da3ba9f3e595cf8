// Whether the system lets this process open enough files and connections. With none left ZeroMQ would try to accept for
// ever and deliver nothing, so it is found out at the start.
import { readFileSync } from 'node:fs';
import { UserError } from '../util/errors.js';
import { counted } from '../util/format.js';

/** What a process of Node with sockets, threads and a checkpoint under way has open, generously. */
const BASE = 128;
const PER_REDUCER = 16;

/** Read while files can be opened. */
let known: number | undefined;

/** Files and connections that this process may have open; Infinity where the system does not tell. */
export function openFileLimit(): number {
  return (known ??= readLimit());
}

function readLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** A limit worth setting when `needed` would just do. */
const enough = (needed: number): number => Math.max(4096, needed);

/** What to do about EMFILE. */
export function fileLimitAdvice(limit = openFileLimit()): string {
  const here = limit === Infinity ? '' : `, which is ${limit} here`;
  return `raise the limit of open files and connections${here} (ulimit -n ${enough(limit === Infinity ? 0 : 2 * limit)})`;
}

/** @throws UserError FILE_LIMIT */
function check(limit: number, needed: number, who: string): void {
  if (limit >= needed) return;
  throw new UserError(
    'FILE_LIMIT',
    `expected to be allowed ${needed} open files and connections for ${who}, got ${limit}: raise the limit (ulimit -n ${enough(needed)})`,
  );
}

/** How many workers can connect to a coordinator here. Throws UserError FILE_LIMIT when not one can. */
export function workersWithinFileLimit(reducers: number, limit = openFileLimit()): number {
  const own = BASE + PER_REDUCER * reducers;
  const perWorker = 1 + reducers;
  check(limit, own + perWorker, `a coordinator with ${counted(reducers, 'reducer')}`);
  return Math.floor((limit - own) / perWorker);
}

/** For a process that may not even be able to load its code: called before. Throws UserError FILE_LIMIT. */
export function checkFileLimit(who: string, limit = openFileLimit()): void {
  check(limit, BASE, who);
}
