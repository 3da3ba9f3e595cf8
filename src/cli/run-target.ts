// What `status` and `watch` are asked about: the live coordinator at a URL, or a run's folder, from which a live
// coordinator is found if there is one.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { liveness, thisOwner } from '../checkpoint/owner.js';
import { listCheckpoints } from '../checkpoint/list.js';
import { isUrl } from '../checkpoint/open-folder.js';
import { RunDirectory } from '../checkpoint/run-directory.js';
import { storageOf } from '../checkpoint/storage-place.js';
import { viewFromFiles } from '../live/history.js';
import { readNotice, type Notice } from '../live/notice.js';
import type { RunView } from '../live/run-view.js';
import type { Ending } from '../metrics/events.js';
import { fetchMessageOf, UserError } from '../util/errors.js';
import { pathExists } from '../util/exists.js';
import { isObject } from '../util/json.js';
import type { Output } from './output.js';

export type Target = { readonly url: string } | { readonly run: RunDirectory };

/** `killed`: its coordinator is gone and did not say how it ended. `unknown`: whether it runs cannot be seen from here. */
export type RunState = 'running' | Ending | 'killed' | 'unknown' | 'never started';

export interface RunStatus {
  readonly state: RunState;
  /** Where the live page is, if it answers. */
  readonly url: string | null;
  readonly directory: string | null;
  /** Where the newest checkpoint lies; null when there is none, or where that cannot be seen from here. */
  readonly newestCheckpoint: string | null;
  readonly view: RunView;
}

const ANSWER_TIMEOUT_MS = 5000;

const RUNS = 'runs';

/**
 * What is asked about: what was given, or else the run in runs/ that was started last, which is said. Throws UserError
 * RUN_NOT_FOUND.
 */
export async function chooseTarget(given: string | undefined, output: Output): Promise<Target> {
  if (given !== undefined) return parseTarget(given);
  let newest: { readonly folder: string; readonly startedAt: number } | undefined;
  for (const name of await readdir(RUNS).catch(() => [])) {
    const folder = path.join(RUNS, name);
    const notice = await readNotice(new RunDirectory(folder).notice);
    const startedAt = notice?.run.startedAt ?? -Infinity;
    if (startedAt > (newest?.startedAt ?? -Infinity)) newest = { folder, startedAt };
  }
  if (!newest) {
    const expected = "a run's folder, or http://HOST:PORT of a coordinator";
    throw new UserError('RUN_NOT_FOUND', `expected ${expected}: no run was started in ${path.resolve(RUNS)}`);
  }
  output.note(`${newest.folder}, the run that was started last:`);
  return parseTarget(newest.folder);
}

/** A URL, a folder, or the name of a folder under runs/. Throws UserError RUN_NOT_FOUND. */
export async function parseTarget(given: string): Promise<Target> {
  if (/^https?:\/\//.test(given)) return { url: given.replace(/\/+$/, '') };
  if (isUrl(given)) {
    const advice = `\`npx lockstep runs ${given}\` shows its checkpoints; its metrics are on its coordinator's machine`;
    throw new UserError(
      'RUN_NOT_FOUND',
      `a run can be followed by its folder or its coordinator's URL: ${advice}`,
    );
  }
  for (const folder of [given, path.join(RUNS, given)]) {
    const own = new RunDirectory(folder);
    if (!(await pathExists(own.metricsLog)) && !(await pathExists(own.notice))) continue;
    return { run: new RunDirectory(folder, await storageOf(own.storage)) };
  }
  if (/^[\w.-]+:\d{1,5}$/.test(given)) return { url: `http://${given}` };
  const expected = "a run's name or folder, or http://HOST:PORT of a coordinator";
  const places = path.isAbsolute(given) ? given : `${given} or ${path.join(RUNS, given)}`;
  throw new UserError(
    'RUN_NOT_FOUND',
    `expected ${expected}; no run has begun in ${places} (\`lockstep runs\` lists those that have)`,
  );
}

export async function statusOf(target: Target): Promise<RunStatus> {
  if ('url' in target) {
    return statusOfLive({ url: target.url, view: await fetchView(target.url) });
  }
  const { run } = target;
  const notice = await readNotice(run.notice);
  const live = await liveView(run);
  if (live) return { ...statusOfLive(live), directory: run.path };
  const view = await viewFromFiles(run);
  return {
    state: await stateOf(notice),
    url: null,
    directory: run.path,
    newestCheckpoint: await newestCheckpoint(run),
    view: { ...view, run: view.run ?? notice?.run ?? null, ended: view.ended ?? notice?.ended ?? null },
  };
}

async function newestCheckpoint(run: RunDirectory): Promise<string | null> {
  const [newest] = await listCheckpoints(run.checkpoints);
  return newest?.directory ?? null;
}

interface LiveView {
  readonly url: string;
  readonly view: RunView;
}

function statusOfLive({ url, view }: LiveView): RunStatus {
  const state = view.ended?.reason ?? 'running';
  return { state, url, directory: null, newestCheckpoint: view.checkpoint?.directory ?? null, view };
}

/** What the coordinator of `run` answers now, and where; null when none does, or none of this run. */
async function liveView(run: RunDirectory): Promise<LiveView | null> {
  const notice = await readNotice(run.notice);
  if (!notice?.http || notice.ended) return null;
  const view = await fetchView(notice.http).catch(() => null);
  return view?.run?.runId === notice.run.runId ? { url: notice.http, view } : null;
}

/** Where the coordinator of `run` answers now; null when none does. */
export async function liveUrl(run: RunDirectory): Promise<string | null> {
  return (await liveView(run))?.url ?? null;
}

export async function stateOf(notice: Notice | null): Promise<RunState> {
  if (notice === null) return 'never started';
  if (notice.ended) return notice.ended.reason;
  const life = await liveness(notice.owner, await thisOwner());
  return life === 'alive' ? 'running' : life === 'dead' ? 'killed' : 'unknown';
}

/** Throws UserError NO_COORDINATOR or NOT_A_COORDINATOR. */
export async function fetchView(url: string): Promise<RunView> {
  const response = await fetch(`${url}/api/run`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }).catch(
    (error: unknown) => {
      throw new UserError('NO_COORDINATOR', `no coordinator answers at ${url}: ${fetchMessageOf(error)}`);
    },
  );
  const value: unknown = await response.json().catch(() => null);
  if (response.ok && isView(value)) return value;
  throw new UserError(
    'NOT_A_COORDINATOR',
    `${url} answers, but not as a Lockstep coordinator: expected a run at /api/run, got status ${response.status}`,
  );
}

function isView(value: unknown): value is RunView {
  return isObject(value) && ['version', 'loss', 'workers', 'events'].every((key) => key in value);
}
