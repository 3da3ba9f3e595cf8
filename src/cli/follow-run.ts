// Follows a run that is trained elsewhere: by the feed of its live coordinator, wherever that is started again, or by
// its files where no page is served.
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunDirectory } from '../checkpoint/run-directory.js';
import { readEvents, type ServerEvent } from '../live/event-source.js';
import { viewFromFiles } from '../live/history.js';
import { readNotice } from '../live/notice.js';
import { fold, type RunView, type TimedEvent } from '../live/run-view.js';
import { fetchMessageOf } from '../util/errors.js';
import { fetchView, liveUrl, stateOf, type Target } from './run-target.js';

export interface Follower {
  /** The run as it stands; `event` is what changed it, null when the whole view is new. */
  onView(view: RunView, event: TimedEvent | null): void;
  /** What is the matter; null when all is well again. */
  onProblem(problem: string | null): void;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
/** Files are looked at this often, and less often when reading them takes long. */
const POLL_MS = 1000;
const POLL_SHARE = 10;

/** Follows until the run has ended, or `signal` says stop. Throws when there is nothing to follow at the start. */
export async function followRun(target: Target, follower: Follower, signal: AbortSignal): Promise<void> {
  if ('url' in target) {
    await fetchView(target.url);
    return followFeed(() => Promise.resolve(target.url), follower, signal);
  }
  const { run } = target;
  if ((await liveUrl(run)) === null) return followFiles(run, follower, signal);
  return followFeed(async () => (await liveUrl(run)) ?? notServed(run), follower, signal);
}

function notServed(run: RunDirectory): never {
  throw new Error(`no coordinator of ${run.path} answers`);
}

/** @param find where the feed is now: a coordinator that was started again may be elsewhere */
async function followFeed(
  find: () => Promise<string>,
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  let view: RunView | undefined;
  let lastEventId: string | undefined;
  let retryMs = FIRST_RETRY_MS;
  while (!signal.aborted) {
    try {
      for await (const event of readEvents(`${await find()}/api/events`, { lastEventId, signal })) {
        lastEventId = event.id;
        view = apply(view, event);
        if (!view) continue;
        retryMs = FIRST_RETRY_MS;
        follower.onProblem(null);
        follower.onView(view, event.name === 'view' ? null : (event.data as TimedEvent));
        if (view.ended) return;
      }
      throw new Error('the coordinator closed it');
    } catch (error) {
      if (signal.aborted) return;
      follower.onProblem(`connection lost (${fetchMessageOf(error)}), trying again`);
    }
    await delay(retryMs, undefined, { signal }).catch(() => undefined);
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  }
}

function apply(view: RunView | undefined, { name, data }: ServerEvent): RunView | undefined {
  return name === 'view' ? (data as RunView) : view && fold(view, data as TimedEvent);
}

async function followFiles(run: RunDirectory, follower: Follower, signal: AbortSignal): Promise<void> {
  let seen = '';
  while (!signal.aborted) {
    const notice = await readNotice(run.notice);
    const state = await stateOf(notice);
    const files = await Promise.all([run.metricsLog, run.eventsLog, run.notice].map(fileMark));
    const startedAt = performance.now();
    if (files.join() !== seen) {
      seen = files.join();
      const view = await viewFromFiles(run);
      follower.onView({ ...view, run: notice?.run ?? view.run, ended: notice?.ended ?? null }, null);
    }
    if (state !== 'running' && state !== 'unknown') return;
    const waitMs = Math.max(POLL_MS, POLL_SHARE * (performance.now() - startedAt));
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Changes when the file does. */
async function fileMark(file: string): Promise<string> {
  const found = await stat(file).catch(() => null);
  return found === null ? '' : `${found.ino}:${found.size}:${found.mtimeMs}`;
}
