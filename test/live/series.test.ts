import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, emptySeries, type Series } from '../../src/live/series.js';

function seriesOf(values: readonly (number | null)[], firstStep = 1): Series {
  return values.reduce<Series>((series, value, i) => append(series, firstStep + i, value), emptySeries);
}

test('a short curve holds every value', () => {
  assert.deepEqual(seriesOf([5, 4, 3]), { width: 1, steps: [1, 2, 3], values: [5, 4, 3], counts: [1, 1, 1] });
});

test('a long curve is bounded, keeps its order, and its points are the means of their steps', () => {
  const values = Array.from({ length: 10_000 }, (_, i) => Math.sin(i / 500) + (i % 7));
  const { width, steps, values: points, counts } = seriesOf(values);
  assert.ok(points.length > 200 && points.length <= 600, String(points.length));
  assert.equal(steps.at(-1), 10_000);
  let first = 1;
  steps.forEach((step, i) => {
    const own = values.slice(first - 1, step);
    assert.equal(own.length, counts[i]);
    assert.ok(own.length <= width);
    assert.ok(Math.abs(points[i]! - own.reduce((sum, value) => sum + value, 0) / own.length) < 1e-9);
    first = step + 1;
  });
});

test('what is not finite, and steps that are missing, leave no trace', () => {
  assert.deepEqual(seriesOf([1, NaN, null, 4]).steps, [1, 4]);
});
