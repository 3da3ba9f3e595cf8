// What happened, newest first.
import { byId, element } from './elements.js';

/** @import { RunView, RunEvent } from '../src/live/run-view.js' */

/** @type {readonly RunEvent[]} */
let shown = [];

/** @param {RunView} view */
export function showEvents({ events }) {
  if (events === shown) return;
  const list = byId('events');
  // Folding keeps the events that it does not drop; a view from the server brings others.
  const known = new Set(shown);
  const isContinued = shown.length > 0 && events.some((event) => known.has(event));
  const fresh = isContinued ? events.filter((event) => !known.has(event)) : events;
  if (!isContinued) list.replaceChildren();
  for (const event of fresh) list.prepend(item(event));
  while (list.childElementCount > events.length) list.lastElementChild?.remove();
  shown = events;
}

/** @param {RunEvent} event */
function item({ time, level, text }) {
  const date = new Date(time * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString('en-GB');
  const when = element('time', { text: isToday ? clock : `${date.toLocaleDateString('en-CA')} ${clock}` });
  when.setAttribute('datetime', date.toISOString());
  const made = element('li', {}, [when, element('span', { text })]);
  made.dataset['level'] = level;
  return made;
}
