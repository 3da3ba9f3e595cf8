// How fast a worker is, as it was lately: what it computes, and what its leases take beside that.

/** Weight of the newest lease. */
const SMOOTHING = 0.3;
/** A lease that stood still for once may lengthen what is expected of the next by twice that and this. */
const SURPRISE_MS = 1000;

export interface Pace {
  /** Micro-batches per second; undefined before the first lease is computed. */
  readonly speed: number | undefined;
  /** What a lease takes beside computing: parameters in, gradient out; undefined before the first is covered. */
  readonly overheadMs: number | undefined;
}

export const UNKNOWN_PACE: Pace = { speed: undefined, overheadMs: undefined };

/** A worker computed so many micro-batches in that time. */
export function afterComputing(pace: Pace, microBatches: number, seconds: number): Pace {
  if (seconds <= 0) return pace;
  return { ...pace, speed: smoothed(pace.speed, microBatches / seconds) };
}

/** A lease took so long beside being computed. */
export function afterCovering(pace: Pace, overheadMs: number): Pace {
  const { overheadMs: before } = pace;
  const sample = before === undefined ? overheadMs : Math.min(overheadMs, 2 * before + SURPRISE_MS);
  return { ...pace, overheadMs: smoothed(before, sample) };
}

/** A lease was taken away from a worker that had not computed it after all that time: it is no faster than that. */
export function afterLosing(pace: Pace, microBatches: number, seconds: number): Pace {
  const fastest = microBatches / seconds;
  return seconds <= 0 || (pace.speed ?? Infinity) <= fastest
    ? pace
    : afterComputing(pace, microBatches, seconds);
}

function smoothed(before: number | undefined, sample: number): number {
  return before === undefined ? sample : before + SMOOTHING * (sample - before);
}
