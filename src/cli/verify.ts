// `lockstep verify`: computes every checksum of a checkpoint, or of all of a run's, again.

import path from 'node:path';
import type { Command } from 'commander';
import type { Verdict } from '../checkpoint/verify.js';
import { UserError } from '../util/errors.js';
import { formatBytes } from '../util/format.js';
import { ExitCode, outputOf } from './output.js';

/** The verdicts, and whether what was named as a whole is sound. */
interface Report {
  readonly sound: boolean;
  readonly checkpoints: readonly Verdict[];
}

/** A checkpoint itself must be whole. A run must have a whole one and none that is damaged: unfinished ones are a crash's harmless rest. */
async function verify(given: string): Promise<Report> {
  const { openFolder } = await import('../checkpoint/open-folder.js');
  const { storageOf } = await import('../checkpoint/storage-place.js');
  const { CHECKPOINTS, IDENTITY_FILE } = await import('../checkpoint/run-directory.js');
  const { MODEL_FILE, STATE_FILE, stepOfName } = await import('../checkpoint/names.js');
  const { checkpointFolders } = await import('../checkpoint/list.js');
  const { verifyCheckpoint } = await import('../checkpoint/verify.js');
  const { locate } = await import('./locate.js');
  const opened = await openFolder(await locate(given));
  const folder = await storageOf(opened);
  const entries = await folder.list();
  if (entries.length === 0) throw new UserError('NOT_FOUND', `${given} is empty, or no directory`);
  const names = entries.map(({ name }) => name);
  const found = await checkpointFolders(folder.at(CHECKPOINTS));
  if (found.length === 0 && !names.includes(CHECKPOINTS)) {
    if (names.includes(IDENTITY_FILE)) throw new UserError('NOT_FOUND', `${given} has no checkpoint yet`);
    const isCheckpoint = names.includes(MODEL_FILE) || names.includes(STATE_FILE);
    if (!isCheckpoint && stepOfName(path.basename(folder.url)) === null)
      throw new UserError(
        'NOT_FOUND',
        `expected a run or a checkpoint, ${given} is neither (lockstep runs DIR --verify checks all runs in a folder)`,
      );
    const verdict = await verifyCheckpoint(folder);
    return { sound: verdict.status === 'whole', checkpoints: [verdict] };
  }
  const verdicts: Verdict[] = [];
  for (const one of found) verdicts.push(await verifyCheckpoint(one.folder));
  verdicts.sort((a, b) => a.directory.localeCompare(b.directory, 'en', { numeric: true }));
  const statuses = verdicts.map((verdict) => verdict.status);
  return { sound: statuses.includes('whole') && !statuses.includes('damaged'), checkpoints: verdicts };
}

function line({ directory, status, bytes, problems }: Verdict): string {
  const detail = status === 'whole' ? formatBytes(bytes) : problems.join('; ');
  return `${status.padEnd('unfinished'.length)}  ${directory}  ${detail}`;
}

function textOf({ checkpoints }: Report): string {
  return checkpoints.length === 0 ? 'no checkpoint' : checkpoints.map(line).join('\n');
}

export function register(program: Command): void {
  program
    .command('verify')
    .argument('<path>', "a run's directory, or one of its checkpoints")
    .description('check every file of a checkpoint, or of all checkpoints of a run, against its checksum')
    .action(async (given: string, _options: object, command: Command) => {
      const report = await verify(given);
      outputOf(command).result(report, textOf(report));
      if (!report.sound) process.exitCode = ExitCode.user;
    });
}
