// Waiting for what other programs do, which tell nobody when it is done.
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 200;
/** For anything that is waited for, on a machine with much else to do. */
const DEADLINE_MS = 120_000;

/** Polls until `probe` finds something; throws with `context`, such as a log, when it does not in time. */
export async function until<T>(
  what: string,
  probe: () => T | false | Promise<T | false>,
  context: () => string | Promise<string>,
): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await probe();
    if (found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}\n${await context()}`);
    await delay(POLL_MS);
  }
}
