// A directory for one test, and what must end before it is removed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';

const endings = new WeakMap<TestContext, (() => unknown)[]>();

/** Calls `end` when the test ends: what was given last is called first, where node:test's own hooks run first come first. */
export function atEnd(t: TestContext, end: () => unknown): void {
  const known = endings.get(t);
  if (known) {
    known.push(end);
    return;
  }
  const own = [end];
  endings.set(t, own);
  t.after(async () => {
    for (const one of own.reverse()) await one();
  });
}

/** A directory that is deleted when the test ends. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'lockstep-test-'));
  atEnd(t, () => rm(directory, { recursive: true, force: true }));
  return directory;
}
