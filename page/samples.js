// What the model of the newest checkpoint answers about a few held-out samples, beside what they are.
import { formatCount } from '../src/util/format.js';
import { byId, element, setText } from './elements.js';

/** @import { RunView } from '../src/live/run-view.js' */

/** @type {RunView['predicted']} */
let shown = null;

/** @param {RunView} view */
export function showSamples({ predicted }) {
  if (predicted === shown) return;
  shown = predicted;
  byId('samples-card').hidden = !predicted;
  if (!predicted) return;
  setText(byId('samples-step'), `at step ${formatCount(predicted.step)}`);
  byId('samples').replaceChildren(
    ...predicted.predictions.map(({ source, prediction, target }) =>
      element('li', {}, [
        element('dl', {}, [row('source', source), row('prediction', prediction), row('target', target)]),
      ]),
    ),
  );
}

/**
 * @param {string} name
 * @param {string} text
 */
function row(name, text) {
  return element('div', {}, [element('dt', { text: name }), element('dd', { text })]);
}
