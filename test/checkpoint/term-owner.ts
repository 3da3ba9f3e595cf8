// A process for term.test.ts: tries to take the next term, says how that ended, and waits
// for its end. Arguments: directory, interval and timeout of its renewals.

import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { acquireTerm } from '../../src/checkpoint/term.js';
import { UserError } from '../../src/util/errors.js';

try {
  const [directory, intervalMs, timeoutMs] = process.argv.slice(2);
  const { number: term, superseded } = await acquireTerm(new DiskFolder(directory!), {
    renewal: { intervalMs: Number(intervalMs), timeoutMs: Number(timeoutMs) },
    onWarning: () => {},
  });
  void superseded.then(({ code }) => process.stdout.write(`${code}\n`));
  process.stdout.write(`${term}\n`);
  setInterval(() => {}, 1000);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stdout.write(`${error.code}\n`);
}
