// The curves: train and validation loss with the unigram baseline, and throughput.
// @ts-expect-error: its types lie beside another of its builds
import uPlotModule from '../node_modules/uplot/dist/uPlot.esm.js';
import { formatCount } from '../src/util/format.js';
import { byId, element } from './elements.js';

/** @import { RunView } from '../src/live/run-view.js' */
/** @import uPlotType from 'uplot' */

const uPlot = /** @type {typeof uPlotType} */ (/** @type {unknown} */ (uPlotModule));

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** @typedef {{ label: string, colour: string, width?: number, dash?: number[], points?: boolean }} Curve */

/** One chart with its legend. */
class Chart {
  /**
   * @param {string} id of the element to draw in; `${id}-legend` has the legend
   * @param {readonly Curve[]} curves
   * @param {(value: number) => string} format
   */
  constructor(id, curves, format) {
    this.target = byId(`${id}-chart`);
    this.legend = byId(`${id}-legend`);
    this.curves = curves;
    this.format = format;
    /** @type {uPlotType.AlignedData} */
    this.data = [[]];
    /** @type {number | null} */
    this.shown = null;
    this.plot = this.make();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.target);
    // The colours are drawn, so they are drawn again when the system's scheme changes.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.plot.destroy();
      this.plot = this.make();
    });
  }

  size() {
    return { width: Math.max(100, this.target.clientWidth), height: this.target.clientHeight };
  }

  make() {
    const axis = {
      stroke: colour('quiet'),
      grid: { stroke: colour('grid'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
    const values = (/** @type {unknown} */ _plot, /** @type {number[]} */ splits) =>
      splits.map((split) => (split === null ? '' : this.format(split)));
    return new uPlot(
      {
        ...this.size(),
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        padding: [8, 12, 0, 0],
        scales: { x: { time: false } },
        axes: [
          {
            ...axis,
            size: 28,
            values: (_plot, splits) => splits.map((split) => (split % 1 ? '' : formatCount(split))),
          },
          { ...axis, values, size: 54 },
        ],
        series: [
          {},
          ...this.curves.map((curve) => ({
            label: curve.label,
            stroke: colour(curve.colour),
            width: curve.width ?? 1.75,
            dash: curve.dash ?? [],
            spanGaps: true,
            points: { show: curve.points ?? false, size: 6, fill: colour(curve.colour) },
          })),
        ],
        hooks: {
          setCursor: [
            (plot) => {
              this.shown = plot.cursor.idx ?? null;
              this.tell();
            },
          ],
        },
      },
      this.data,
      this.target,
    );
  }

  /** @param {uPlotType.AlignedData} data */
  draw(data) {
    this.data = data;
    this.plot.setData(data);
    this.tell();
  }

  /** The legend's values: under the cursor, or the last ones. */
  tell() {
    const [steps, ...columns] = this.data;
    const at = this.shown;
    const parts = this.curves.flatMap((curve, i) => {
      const column = /** @type {(number | null | undefined)[]} */ (columns[i] ?? []);
      const value = at === null ? column.findLast((one) => typeof one === 'number') : column[at];
      if (typeof value !== 'number') return [];
      const part = element('span', { colour: curve.colour, text: `${curve.label} ` });
      part.append(element('b', { text: this.format(value) }));
      return [part];
    });
    if (at !== null && steps[at] !== undefined)
      parts.push(element('div', { text: `step ${formatCount(steps[at])}` }));
    this.legend.replaceChildren(...parts);
  }
}

export function makeCharts() {
  const loss = new Chart(
    'loss',
    [
      { label: 'train', colour: 'train' },
      { label: 'validation', colour: 'validation', width: 2, points: true },
      { label: 'word frequencies alone', colour: 'baseline', width: 1.25, dash: [6, 5] },
    ],
    (value) => value.toFixed(Math.abs(value) < 10 ? 2 : 1),
  );
  const throughput = new Chart('throughput', [{ label: 'tokens/s', colour: 'throughput' }], (value) =>
    formatCount(Math.round(value)),
  );
  return (/** @type {RunView} */ view) => {
    loss.draw(lossData(view));
    throughput.draw([[...view.throughput.steps], [...view.throughput.values]]);
  };
}

/**
 * All curves over the steps of any of them.
 * @param {RunView} view
 * @returns {uPlotType.AlignedData}
 */
function lossData({ loss, validation, run }) {
  const train = new Map(loss.steps.map((step, i) => [step, loss.values[i]]));
  const validated = new Map(validation.steps.map((step, i) => [step, validation.values[i]]));
  const steps = [...new Set([...train.keys(), ...validated.keys()])].sort((a, b) => a - b);
  const baseline = run?.unigramLoss ?? null;
  return [
    steps,
    steps.map((step) => train.get(step)),
    steps.map((step) => validated.get(step)),
    steps.map(() => baseline),
  ];
}
