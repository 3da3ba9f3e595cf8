// `lockstep runs [PLACE]`: the runs in a folder or an object store, a row each: how far, how good, how large, how sound.
import path from 'node:path';
import type { Command } from 'commander';
import type { Ownership } from '../checkpoint/ownership.js';
import type { RunSummary } from '../live/run-summary.js';
import { UserError } from '../util/errors.js';
import { formatBytes, formatCount, formatDuration, printable } from '../util/format.js';
import { table } from '../util/table.js';
import { ExitCode, outputOf } from './output.js';

export function register(program: Command): void {
  program
    .command('runs')
    .description(
      'list runs: steps, losses, checkpoints and their age, size and soundness, and who trains them',
    )
    .argument('[place]', 'a folder of runs, a run or its name, or s3://BUCKET/PREFIX of either', 'runs')
    .option('--verify', 'hash every file of every checkpoint; exit with 2 if one is damaged')
    .action(async (place: string, options: { verify?: true }, command: Command) => {
      const output = outputOf(command);
      const summaries = await summarise(place, options.verify === true);
      if (output.json) for (const summary of summaries) output.result(summary, '');
      else output.result(null, textOf(summaries.map((summary) => rowOf(summary, options.verify === true))));
      if (options.verify && summaries.some(isDamaged)) process.exitCode = ExitCode.user;
    });
}

async function summarise(place: string, verify: boolean): Promise<RunSummary[]> {
  const { openFolder } = await import('../checkpoint/open-folder.js');
  const { runFolders, summariseRun } = await import('../live/run-summary.js');
  const { find } = await import('./locate.js');
  const folder = await openFolder((await find(place)) ?? place);
  const folders = await runFolders(folder);
  if (folders.length === 0) {
    throw new UserError(
      'RUNS_NOT_FOUND',
      `there is no run in ${folder.url}: expected a run, or a folder with runs directly in it`,
    );
  }
  return Promise.all(folders.map((one) => summariseRun(one, verify)));
}

function isDamaged({ problems }: RunSummary): boolean {
  return problems.length > 0;
}

interface Row {
  readonly cells: readonly string[];
  /** Shown below the row. */
  readonly problems: readonly string[];
}

const HEAD = ['run', 'step', 'loss', 'validation', 'checkpoint', 'size', 'checkpoints', 'owner'];
const NONE = '–';

function rowOf(summary: RunSummary, verified: boolean): Row {
  const { name, step, steps, loss, validation, checkpoint, bytes, owner, problems } = summary;
  const now = Date.now() / 1000;
  const age =
    checkpoint === null || checkpoint.savedAt === null
      ? ''
      : `, ${formatDuration(now - checkpoint.savedAt)} ago`;
  return {
    cells: [
      printable(name),
      step === null
        ? NONE
        : steps === null
          ? formatCount(step)
          : `${formatCount(step)} of ${formatCount(steps)}`,
      loss === null ? NONE : loss.toFixed(3),
      validation === null ? NONE : (validation.loss?.toFixed(3) ?? 'not finite'),
      checkpoint === null ? NONE : `${path.basename(checkpoint.directory)}${age}`,
      bytes === 0 ? NONE : formatBytes(bytes),
      soundness(summary, verified),
      ownerText(owner),
    ],
    problems,
  };
}

function soundness({ checkpoints, problems }: RunSummary, verified: boolean): string {
  const { whole, damaged, unfinished } = checkpoints;
  const counts = [
    ...(whole > 0 ? [`${whole} ${verified ? 'verified' : 'saved'}`] : []),
    ...(damaged > 0 ? [`${damaged} damaged`] : []),
    ...(unfinished > 0 ? [`${unfinished} unfinished`] : []),
  ];
  if (counts.length > 0) return counts.join(', ');
  return problems.length > 0 ? 'broken' : 'none yet';
}

function ownerText(ownership: Ownership | null): string {
  if (ownership === null) return NONE;
  const { state, owner, renewals } = ownership;
  const who = owner === null ? 'unnamed' : `process ${owner.pid} on ${printable(owner.host)}`;
  switch (state) {
    case 'released':
    case 'dead':
      return 'free';
    case 'alive':
      return who;
    case 'unknown':
      return `${who}, if it lives: ${renewals === null ? 'never renewed' : `renewal ${renewals}`}`;
    default:
      return state satisfies never;
  }
}

function textOf(rows: readonly Row[]): string {
  const [head, ...lines] = table([HEAD, ...rows.map(({ cells }) => cells)], 'words').split('\n');
  const below = rows.map(({ problems }) => problems.map((problem) => `  ! ${printable(problem)}`));
  return [head, ...lines.flatMap((line, i) => [line, ...below[i]!])].join('\n');
}
