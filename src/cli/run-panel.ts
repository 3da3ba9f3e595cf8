// A run in a few lines of text: how far it is, its losses, its speed, its checkpoint and its workers.
import type { RunView, WorkerView } from '../live/run-view.js';
import { cut, padding, widthOf } from '../util/columns.js';
import { formatBytes, formatCount, formatDuration, printable } from '../util/format.js';
import { joined, span, type Line, type Style } from './spans.js';
import { bar, sparkline } from './sparkline.js';

const BAR_WIDTH = 20;
const CURVE_WIDTH = 32;
const SHARE_WIDTH = 10;
/** A worker that was not heard of for this long is marked. */
const SILENT_SECONDS = 3;
const LONGEST_NAME = 24;

export interface PanelOptions {
  /** Seconds since 1970. */
  readonly now: number;
  /** Workers beyond are only counted. */
  readonly mostWorkers: number;
  readonly url: string | null;
  /** Files do not tell which workers are here. */
  readonly isFromFiles?: boolean;
}

export function panelLines(view: RunView, options: PanelOptions): Line[] {
  return [progressLine(view), lossLine(view), speedLine(view, options), ...workerLines(view, options)].filter(
    (line) => line.length > 0,
  );
}

function progressLine({ run, version, etaSeconds, stopping, ended }: RunView): Line {
  if (!run) return [span(`step ${formatCount(version)}`, 'bold')];
  const share = version / run.steps;
  return joined([
    [span(printable(run.run), 'bold')],
    [span(bar(share, BAR_WIDTH), 'cyan')],
    [span(`step ${formatCount(version)} of ${formatCount(run.steps)}`)],
    [span(`${Math.floor(share * 100)} %`, 'dim')],
    etaSeconds !== null && version < run.steps ? [span(`${formatDuration(etaSeconds)} left`)] : null,
    stopping ? [span('stopping', 'yellow')] : null,
    ended && [span(ended.reason, ended.reason === 'failed' ? 'red' : 'green')],
  ]);
}

function lossLine({ lastLoss, loss, validationLoss, run }: RunView): Line {
  if (lastLoss === null) return [];
  const baseline = run?.unigramLoss ? ` (word frequencies alone ${run.unigramLoss.toFixed(3)})` : '';
  return joined([
    [span('loss ', 'dim'), span(lastLoss.toFixed(3))],
    loss.values.length > 1 ? [span(sparkline(loss.values, CURVE_WIDTH), 'cyan')] : null,
    validationLoss && [
      span('validation ', 'dim'),
      span(`${validationLoss.loss?.toFixed(3) ?? 'not finite'}`),
      span(` at step ${formatCount(validationLoss.step)}${baseline}`, 'dim'),
    ],
  ]);
}

function speedLine({ tokensPerSecond, checkpoint }: RunView, { now, url }: PanelOptions): Line {
  return joined([
    tokensPerSecond === null
      ? null
      : [span(formatCount(Math.round(tokensPerSecond))), span(' tokens/s', 'dim')],
    checkpoint && [
      span('checkpoint ', 'dim'),
      span(`step ${formatCount(checkpoint.step)}`),
      span(`, ${formatBytes(checkpoint.bytes)}, ${formatDuration(now - checkpoint.time)} ago`, 'dim'),
    ],
    url === null ? null : [span(url, 'cyan')],
  ]);
}

function workerLines({ workers, run, ended }: RunView, options: PanelOptions): Line[] {
  const { now, mostWorkers, isFromFiles } = options;
  if (workers.length === 0)
    return ended || !run || isFromFiles ? [] : [[span('no worker is here', 'yellow')]];
  const shown = workers.length > mostWorkers ? workers.slice(0, Math.max(0, mostWorkers - 1)) : workers;
  const name = ({ name }: WorkerView): string => cut(printable(name), LONGEST_NAME);
  const width = Math.max(...shown.map((worker) => widthOf(name(worker))));
  const lines = shown.map((worker) =>
    joined([
      [span(name(worker) + padding(name(worker), width))],
      [phaseSpan(worker, now)],
      [span(leaseText(worker, run?.microBatches ?? null).padEnd(9), 'dim')],
      worker.microBatchesPerSecond === null
        ? null
        : [span(worker.microBatchesPerSecond.toFixed(1).padStart(5)), span(' batches/s', 'dim')],
      worker.shares && [
        span(bar(worker.shares.compute, SHARE_WIDTH), 'green'),
        span(` ${String(Math.round(worker.shares.compute * 100)).padStart(3)} % computing`, 'dim'),
      ],
    ]),
  );
  const rest = workers.length - shown.length;
  return rest > 0 ? [...lines, [span(`and ${formatCount(rest)} more workers`, 'dim')]] : lines;
}

function phaseSpan({ state, phase, lastHeard }: WorkerView, now: number) {
  const styles: Readonly<Record<string, Style>> = { compute: 'green', idle: 'dim' };
  const silent = now - lastHeard;
  const text =
    silent > SILENT_SECONDS
      ? `silent ${Math.round(silent)} s`
      : state === 'joining'
        ? state
        : (phase ?? 'ready');
  return span(text.padEnd(8), silent > SILENT_SECONDS ? 'red' : (styles[text] ?? 'yellow'));
}

/** Micro-batches that it holds, counted from 1. */
function leaseText({ leases }: WorkerView, total: number | null): string {
  const [lease] = leases;
  if (!lease) return '';
  const range = lease.end - lease.start === 1 ? `${lease.end}` : `${lease.start + 1}–${lease.end}`;
  return total === null ? range : `${range} of ${total}`;
}
