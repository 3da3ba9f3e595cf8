// The live page's beginning: draws the view when it has changed, at most a few times a second.
import { makeCharts } from './charts.js';
import { follow } from './connection.js';
import { byId, setText } from './elements.js';
import { showEvents } from './events.js';
import { showFigures } from './figures.js';
import { showSamples } from './samples.js';
import { showWorkers } from './workers.js';

/** @import { RunView } from '../src/live/run-view.js' */

const REDRAW_MS = 250;

const drawCharts = makeCharts();
/** @type {RunView | null} */
let view = null;
/** The coordinator's clock less this browser's, seconds. */
let clockOffset = 0;
let isLost = false;
let isDue = false;

function draw() {
  isDue = false;
  if (!view) return;
  showFigures(view, Date.now() / 1000 + clockOffset);
  showWorkers(view);
  showSamples(view);
  showEvents(view);
  drawCharts(view);
}

function showState() {
  const isStale = isLost && !view?.ended;
  const state = isStale ? 'lost' : (view?.ended?.reason ?? (view ? 'running' : 'connecting'));
  byId('state').dataset['state'] = state;
  setText(byId('state'), state === 'lost' ? 'connection lost, trying again' : state);
  document.body.classList.toggle('is-stale', isStale);
}

follow(
  (next) => {
    view = next;
    clockOffset = next.time - Date.now() / 1000;
    showState();
    if (isDue) return;
    isDue = true;
    setTimeout(draw, REDRAW_MS);
  },
  (lost) => {
    isLost = lost;
    showState();
  },
);
setInterval(draw, 1000); // ages go on
