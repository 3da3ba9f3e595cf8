// `lockstep verify`: computes every checksum of a checkpoint, of all of a run's, or of a prepared data set again.
import path from 'node:path';
import type { Command } from 'commander';
import type { Verdict } from '../checkpoint/verify.js';
import { UserError } from '../util/errors.js';
import { counted, formatBytes } from '../util/format.js';
import { ExitCode, outputOf } from './output.js';

/** Whether what was named is sound as a whole: the verdicts on a run's checkpoints, or what is in a data set. */
type Report =
  | { readonly sound: boolean; readonly checkpoints: readonly Verdict[] }
  | {
      readonly sound: true;
      readonly data: { readonly directory: string; readonly files: number; readonly bytes: number };
    };

/**
 * A checkpoint itself must be whole. A run must have a whole one and none that is damaged: unfinished ones are a crash's harmless rest.
 * Throws UserError NOT_FOUND, and DATASET_DAMAGED for the first file of a data set that differs.
 */
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
    if (!isCheckpoint && stepOfName(path.basename(folder.url)) === null) {
      const { MANIFEST_FILE, TOKENIZER_FILE } = await import('../data/manifest.js');
      if (names.includes(MANIFEST_FILE) && names.includes(TOKENIZER_FILE)) return verifyData(folder.url);
      throw new UserError(
        'NOT_FOUND',
        `expected a run, a checkpoint or a prepared data set, ${given} is none of them (lockstep runs DIR --verify checks all runs in a folder)`,
      );
    }
    const verdict = await verifyCheckpoint(folder);
    return { sound: verdict.status === 'whole', checkpoints: [verdict] };
  }
  const verdicts: Verdict[] = [];
  for (const one of found) verdicts.push(await verifyCheckpoint(one.folder));
  verdicts.sort((a, b) => a.directory.localeCompare(b.directory, 'en', { numeric: true }));
  const statuses = verdicts.map((verdict) => verdict.status);
  return { sound: statuses.includes('whole') && !statuses.includes('damaged'), checkpoints: verdicts };
}

async function verifyData(directory: string): Promise<Report> {
  const { verifyDataset } = await import('../data/dataset.js');
  return { sound: true, data: { directory, ...(await verifyDataset(directory)) } };
}

function line({ directory, status, bytes, problems }: Verdict): string {
  const detail = status === 'whole' ? formatBytes(bytes) : problems.join('; ');
  return `${status.padEnd('unfinished'.length)}  ${directory}  ${detail}`;
}

function textOf(report: Report): string {
  if ('data' in report) {
    const { directory, files, bytes } = report.data;
    return `whole  ${directory}  ${counted(files, 'file')}, ${formatBytes(bytes)}`;
  }
  const { checkpoints } = report;
  return checkpoints.length === 0 ? 'no checkpoint' : checkpoints.map(line).join('\n');
}

export function register(program: Command): void {
  program
    .command('verify')
    .argument('<path>', "a run's directory, one of its checkpoints, or a prepared data set")
    .description('check every file of checkpoints, or of a data set, against its checksum')
    .action(async (given: string, _options: object, command: Command) => {
      const report = await verify(given);
      outputOf(command).result(report, textOf(report));
      if (!report.sound) process.exitCode = ExitCode.user;
    });
}
