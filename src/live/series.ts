// A curve in bounded memory: neighbouring steps are averaged into one point, and the more steps there are, the more
// share a point. Which ones do depends on their numbers only, so that a curve looks the same after a restart.

export interface Series {
  /** Steps that share a point; a power of two. */
  readonly width: number;
  /** By point: its last step. */
  readonly steps: readonly number[];
  /** By point: the mean of its steps' values. */
  readonly values: readonly number[];
  /** By point: how many values are in it. */
  readonly counts: readonly number[];
}

export const emptySeries: Series = { width: 1, steps: [], values: [], counts: [] };

const MOST_POINTS = 600;

/** Adds the value of a step, which is later than all before. What is not finite has no place on a curve. */
export function append(series: Series, step: number, value: number | null): Series {
  if (value === null || !Number.isFinite(value)) return series;
  const { width } = series;
  const longer = { width, steps: [...series.steps], values: [...series.values], counts: [...series.counts] };
  addTo(longer, step, value, 1);
  return longer.steps.length > MOST_POINTS ? widened(longer) : longer;
}

/** The same curve with half the points. */
function widened({ width, steps, values, counts }: Series): Series {
  const wide: Growing = { width: width * 2, steps: [], values: [], counts: [] };
  steps.forEach((step, i) => addTo(wide, step, values[i]!, counts[i]!));
  return wide;
}

interface Growing extends Series {
  readonly steps: number[];
  readonly values: number[];
  readonly counts: number[];
}

/** Adds the mean of `count` values, the last of which is of `step`. */
function addTo({ width, steps, values, counts }: Growing, step: number, value: number, count: number): void {
  const pointOf = (ofStep: number): number => Math.floor((ofStep - 1) / width); // steps are counted from 1, as versions
  const last = steps.length - 1;
  if (last < 0 || pointOf(steps[last]!) !== pointOf(step)) {
    steps.push(step);
    values.push(value);
    counts.push(count);
    return;
  }
  steps[last] = step;
  counts[last]! += count;
  values[last]! += ((value - values[last]!) * count) / counts[last]!;
}
