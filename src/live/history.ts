// The view of a run from its files: what a coordinator that goes on begins with, and what is shown when none runs.
import type { RunDirectory } from '../checkpoint/run-directory.js';
import { metricsRecords } from '../metrics/metrics-log.js';
import { readLastEvents } from './events-log.js';
import { emptyView, fold, type RunView } from './run-view.js';

export async function viewFromFiles(run: RunDirectory): Promise<RunView> {
  let view = emptyView;
  for await (const record of metricsRecords(run.metricsLog)) view = fold(view, record);
  // What metrics.jsonl tells of events, events.jsonl tells too, and more.
  return { ...view, pace: null, etaSeconds: null, events: await readLastEvents(run.eventsLog) };
}
