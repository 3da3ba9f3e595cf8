// The workers: what each does now, and how its time is spent.
import { formatCount } from '../src/util/format.js';
import { byId, element, setText } from './elements.js';

/** @import { RunView, WorkerView } from '../src/live/run-view.js' */

const PHASES = /** @type {const} */ ([
  ['compute', 'computing'],
  ['push', 'pushing gradients'],
  ['pull', 'pulling parameters'],
  ['idle', 'waiting'],
]);

/** The same of one worker, in a word. */
const DOING = { compute: 'computing', push: 'pushing', pull: 'pulling', idle: 'waiting' };

/** A worker that was not heard of for this long is marked. */
const SILENT_SECONDS = 3;

/** worker-2 before worker-10. */
const BY_NAME = new Intl.Collator('en', { numeric: true });

/** @type {Map<string, HTMLElement>} */
const rows = new Map();

/** @param {RunView} view */
export function showWorkers({ workers, ended, time, run }) {
  const list = byId('workers');
  const ready = workers.filter(({ state }) => state === 'ready').length;
  setText(byId('workers-count'), workers.length === 0 ? '' : `${formatCount(ready)} at work`);
  const sessions = new Set(workers.map(({ session }) => session));
  for (const [session, row] of rows) {
    if (sessions.has(session)) continue;
    row.remove();
    rows.delete(session);
  }
  list.querySelector('.empty')?.remove();
  if (workers.length === 0) {
    const text = ended
      ? 'The run is over.'
      : 'No worker is here: lockstep worker tcp://HOST:PORT starts one.';
    list.append(element('li', { class: 'empty', text }));
  }
  const sorted = [...workers].sort((a, b) => BY_NAME.compare(a.name, b.name));
  sorted.forEach((worker, i) => {
    const row = rowOf(worker.session);
    // Only what is not in its place is moved, since that interrupts its transitions.
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    showWorker(row, worker, time, run?.microBatches ?? 0);
  });
  if (byId('phases').childElementCount === 0) {
    byId('phases').append(...PHASES.map(([phase, text]) => element('span', { colour: phase, text })));
  }
}

/** @param {string} session */
function rowOf(session) {
  const row = rows.get(session) ?? makeRow();
  rows.set(session, row);
  return row;
}

/**
 * @param {HTMLElement} row
 * @param {WorkerView} worker
 * @param {number} time
 * @param {number} microBatches of a step
 */
function showWorker(row, worker, time, microBatches) {
  const who = /** @type {HTMLElement} */ (row.querySelector('.who'));
  const what = /** @type {HTMLElement} */ (row.querySelector('.what'));
  setText(who, worker.name === worker.host ? worker.name : `${worker.name} on ${worker.host}`);
  who.title = who.textContent ?? '';
  const silent = time - worker.lastHeard;
  what.classList.toggle('silent', silent > SILENT_SECONDS);
  setText(what, silent > SILENT_SECONDS ? `silent for ${Math.round(silent)} s` : doing(worker, microBatches));
  const bar = /** @type {HTMLElement} */ (row.querySelector('.shares'));
  const { shares } = worker;
  PHASES.forEach(([phase], i) => {
    /** @type {HTMLElement} */ (bar.children[i]).style.flexGrow = String(shares?.[phase] ?? 0);
  });
  bar.setAttribute(
    'aria-label',
    shares
      ? PHASES.map(([phase, text]) => `${Math.round(100 * shares[phase])} % ${text}`).join(', ')
      : 'not known yet',
  );
}

/**
 * @param {WorkerView} worker
 * @param {number} microBatches
 */
function doing({ state, phase, leases, microBatchesPerSecond }, microBatches) {
  if (state === 'joining') return 'joining';
  const [lease] = leases;
  const range = lease
    ? lease.end - lease.start === 1
      ? `${lease.end}`
      : `${lease.start + 1}–${lease.end}`
    : null;
  return [
    range === null ? '' : `micro-batch ${range} of ${microBatches}`,
    microBatchesPerSecond === null ? '' : `${microBatchesPerSecond.toFixed(1)}/s`,
    DOING[phase ?? 'idle'],
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

function makeRow() {
  const shares = element(
    'div',
    { class: 'shares' },
    PHASES.map(([phase]) => element('i', { colour: phase })),
  );
  shares.setAttribute('role', 'img');
  const line = element('p', {}, [element('span', { class: 'who' }), element('span', { class: 'what' })]);
  return element('li', {}, [line, shares]);
}
