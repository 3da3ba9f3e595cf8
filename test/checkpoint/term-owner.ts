// A process for term.test.ts: tries to take the next term, says how that ended, and waits for its end. Argument: directory.

import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { acquireTerm } from '../../src/checkpoint/term.js';
import { UserError } from '../../src/util/errors.js';

try {
  const { term } = await acquireTerm(new DiskFolder(process.argv[2]!), { takeOver: false });
  process.stdout.write(`${term}\n`);
  setInterval(() => {}, 1000);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stdout.write(`${error.code}\n`);
}
