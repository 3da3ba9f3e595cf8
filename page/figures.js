// The head of the page: what is trained, how far it is, and the figures one looks for first.
import { formatBytes, formatCount, formatDuration } from '../src/util/format.js';
import { byId, element, setText } from './elements.js';

/** @import { RunView } from '../src/live/run-view.js' */

/**
 * @param {RunView} view
 * @param {number} now seconds since 1970
 */
export function showFigures(view, now) {
  const { run, version, stopping, ended, etaSeconds } = view;
  if (run) {
    setText(byId('name'), run.run);
    document.title = `${Math.floor((100 * version) / run.steps)} % ${run.run} · Lockstep`;
    setText(
      byId('facts'),
      `${formatCount(run.parameters)} parameters · ${run.objective} objective · ${run.precision}`,
    );
    /** @type {HTMLProgressElement} */ (byId('progress')).value = version / run.steps;
    setText(byId('steps'), `step ${formatCount(version)} of ${formatCount(run.steps)}`);
  }
  const left = ended || etaSeconds === null ? '' : `${formatDuration(etaSeconds)} left`;
  setText(byId('left'), stopping ? 'stopping' : left);
  byId('figures').replaceChildren(...figures(view, now).map(figure));
}

/** @param {readonly [string, string, string]} figure */
function figure([name, value, detail]) {
  const body = element('dd', { text: value });
  body.append(element('small', { text: detail }));
  return element('div', {}, [element('dt', { text: name }), body]);
}

/**
 * @param {RunView} view
 * @param {number} now
 * @returns {[name: string, value: string, detail: string][]}
 */
function figures({ lastLoss, validationLoss, tokensPerSecond, checkpoint, learningRate, gradientNorm }, now) {
  const none = '–';
  return [
    [
      'Loss',
      lastLoss?.toFixed(3) ?? none,
      gradientNorm === null ? '' : `gradient norm ${gradientNorm.toPrecision(3)}`,
    ],
    [
      'Validation',
      validationLoss?.loss?.toFixed(3) ?? none,
      validationLoss
        ? `step ${formatCount(validationLoss.step)} · ${(100 * validationLoss.accuracy).toFixed(1)} % right`
        : 'not yet',
    ],
    [
      'Tokens per second',
      tokensPerSecond === null ? none : formatCount(Math.round(tokensPerSecond)),
      learningRate === null ? '' : `learning rate ${learningRate.toPrecision(3)}`,
    ],
    [
      'Checkpoint',
      checkpoint ? `step ${formatCount(checkpoint.step)}` : none,
      checkpoint
        ? `${formatBytes(checkpoint.bytes)} · ${formatDuration(now - checkpoint.time)} ago`
        : 'not yet',
    ],
  ];
}
