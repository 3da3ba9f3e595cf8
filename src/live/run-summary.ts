// What a run amounts to, in a few numbers: for `lockstep runs`. Read from its folder and from where it is stored, quickly and
// without changing anything, while it is trained or not.

import path from 'node:path';
import type { Folder } from '../checkpoint/folder.js';
import { checkpointFolders } from '../checkpoint/list.js';
import { isUrl } from '../checkpoint/open-folder.js';
import { ownershipOf, type Ownership } from '../checkpoint/ownership.js';
import { CHECKPOINTS, readIdentity, RunDirectory } from '../checkpoint/run-directory.js';
import { readState, type CheckpointState } from '../checkpoint/state.js';
import { storageOf } from '../checkpoint/storage-place.js';
import { inspectCheckpoint, verifyCheckpoint, type Verdict } from '../checkpoint/verify.js';
import { lastRecords } from '../metrics/metrics-log.js';
import { messageOf } from '../util/errors.js';
import { readNotice } from './notice.js';
import { emptyView, fold } from './run-view.js';

export interface RunSummary {
  readonly name: string;
  /** Its folder, and where its checkpoints lie. */
  readonly directory: string;
  readonly storage: string;
  /** Steps done, saved or not, and steps in all. */
  readonly step: number | null;
  readonly steps: number | null;
  /** Of the newest step; null where its metrics are on another machine. */
  readonly loss: number | null;
  readonly validation: { readonly step: number; readonly loss: number } | null;
  /** The newest valid one. */
  readonly checkpoint: {
    readonly directory: string;
    readonly step: number;
    readonly savedAt: number | null; // seconds since 1970
  } | null;
  /** How many there are of each kind. */
  readonly checkpoints: Readonly<Record<Verdict['status'], number>>;
  /** Of all files in all of them. */
  readonly bytes: number;
  readonly owner: Ownership | null;
  /** What keeps it, or a checkpoint of it, from being used. A sentence each. */
  readonly problems: readonly string[];
}

/** As much of the end of metrics.jsonl as is read: about a thousand steps. */
const TAIL_BYTES = 256 * 1024;
/** What is in a run's folder, or where one is stored. */
const MARKS = ['run.json', 'storage.json', 'metrics.jsonl', 'coordinator.json', CHECKPOINTS];

/** The folders of runs at `place`: itself, or those in it. */
export async function runFolders(place: Folder): Promise<Folder[]> {
  if (await isRun(place)) return [place];
  const folders = (await place.list()).filter(({ bytes }) => bytes === null);
  const inside = folders.map(({ name }) => place.at(name));
  // One that cannot be looked into is for its summary to tell of.
  const areRuns = await Promise.all(inside.map((folder) => isRun(folder).catch(() => true)));
  const names = new Intl.Collator('en', { numeric: true });
  return inside.filter((_, i) => areRuns[i]).sort((a, b) => names.compare(a.url, b.url));
}

async function isRun(folder: Folder): Promise<boolean> {
  return (await folder.list()).some(({ name }) => MARKS.includes(name));
}

/** Never throws: what cannot be read is a problem of the run. `verify`: hash every file of its checkpoints. */
export async function summariseRun(folder: Folder, verify: boolean): Promise<RunSummary> {
  const problems: string[] = [];
  const attempt = <T>(reading: Promise<T>): Promise<T | null> =>
    reading.catch((error: unknown) => {
      problems.push(messageOf(error));
      return null;
    });
  const progress = (await attempt(progressOf(folder))) ?? UNKNOWN;
  const storage = await attempt(storageOf(folder));
  const [owner, stored] = storage
    ? [await attempt(ownerOf(storage)), await attempt(storedIn(storage, verify))]
    : [null, null];
  problems.push(...(stored?.problems ?? []));
  const state = stored?.newest?.state ?? null;
  const step = Math.max(progress.step ?? -1, state?.step ?? -1);
  return {
    name: path.basename(folder.url),
    directory: folder.url,
    storage: (storage ?? folder).at(CHECKPOINTS).url,
    step: step < 0 ? null : step,
    steps: progress.steps ?? stepsOf(state),
    loss: progress.loss,
    validation: progress.validation ?? stored?.validation ?? null,
    checkpoint: stored?.newest
      ? {
          directory: stored.newest.directory,
          step: stored.newest.state.step,
          savedAt: stored.newest.state.savedAt,
        }
      : null,
    checkpoints: stored?.counts ?? { whole: 0, unfinished: 0, damaged: 0 },
    bytes: stored?.bytes ?? 0,
    owner,
    problems,
  };
}

async function ownerOf(storage: Folder): Promise<Ownership | null> {
  await readIdentity(storage);
  return ownershipOf(storage);
}

type RunProgress = Pick<RunSummary, 'step' | 'steps' | 'loss' | 'validation'>;

const UNKNOWN: RunProgress = { step: null, steps: null, loss: null, validation: null };

/** What its metrics say, where they are on this machine. */
async function progressOf(folder: Folder): Promise<RunProgress> {
  if (isUrl(folder.url)) return UNKNOWN;
  const run = new RunDirectory(folder.url);
  const [notice, records] = await Promise.all([
    readNotice(run.notice),
    lastRecords(run.metricsLog, TAIL_BYTES),
  ]);
  const { version, lastLoss, validationLoss } = records.reduce(fold, emptyView);
  const known = records.length > 0 || notice !== null;
  return {
    step: known ? Math.max(version, notice?.run.version ?? 0) : null,
    steps: notice?.run.steps ?? null,
    loss: lastLoss,
    validation: validationLoss && { step: validationLoss.step, loss: validationLoss.loss },
  };
}

interface Stored extends Pick<RunSummary, 'bytes' | 'problems' | 'validation'> {
  readonly counts: RunSummary['checkpoints'];
  readonly newest: { readonly directory: string; readonly state: CheckpointState } | null;
}

async function storedIn(storage: Folder, verify: boolean): Promise<Stored> {
  const found = await checkpointFolders(storage.at(CHECKPOINTS));
  const judged: { folder: Folder; verdict: Verdict; bytes: number }[] = [];
  for (const { folder } of found) {
    const verdict = await (verify ? verifyCheckpoint : inspectCheckpoint)(folder);
    const bytes = (await folder.list()).reduce((sum, entry) => sum + (entry.bytes ?? 0), 0);
    judged.push({ folder, verdict, bytes });
  }
  const count = (status: Verdict['status']): number =>
    judged.filter(({ verdict }) => verdict.status === status).length;
  const problems = judged
    .filter(({ verdict }) => verdict.status === 'damaged')
    .map(({ verdict }) => `${path.basename(verdict.directory)}: ${verdict.problems.join('; ')}`);
  const states: { directory: string; state: CheckpointState }[] = [];
  const valid = judged.filter(({ verdict }) => verdict.status === 'whole');
  valid.sort((a, b) => b.verdict.step! - a.verdict.step! || b.verdict.term! - a.verdict.term!);
  for (const { folder } of valid) {
    const state = await readState(folder).catch((error: unknown) => void problems.push(messageOf(error)));
    if (state) states.push({ directory: folder.url, state });
    if (state && state.validationLoss !== null) break;
  }
  const evaluated = states.find(({ state }) => state.validationLoss !== null)?.state;
  return {
    counts: { whole: count('whole'), unfinished: count('unfinished'), damaged: count('damaged') },
    bytes: judged.reduce((sum, { bytes }) => sum + bytes, 0),
    newest: states[0] ?? null,
    validation: evaluated ? { step: evaluated.step, loss: evaluated.validationLoss! } : null,
    problems,
  };
}

/** Steps in all, as the config says that a checkpoint was trained with. */
function stepsOf(state: CheckpointState | null): number | null {
  const steps = state?.config['steps'];
  return typeof steps === 'number' ? steps : null;
}
