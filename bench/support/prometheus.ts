// Reads what a process serves at /metrics.

/**
 * Values by name, labels included as they are written but for the run's name, which all of a coordinator's have:
 * `lockstep_phase_seconds_total{phase="compute"}`.
 */
export type MetricValues = ReadonlyMap<string, number>;

const RUN_LABEL = /,run="[^"]*"|\brun="[^"]*",?/;

/** The metrics at `url`; undefined when the process does not answer (any more). */
export async function scrape(url: string, timeoutMs = 2000): Promise<MetricValues | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    return response.ok ? parseMetrics(await response.text()) : undefined;
  } catch {
    return undefined;
  }
}

function parseMetrics(text: string): MetricValues {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const end = line.lastIndexOf(' ');
    if (end <= 0 || line.startsWith('#')) continue;
    const name = line.slice(0, end).replace(RUN_LABEL, '').replace(/\{\}$/, '');
    values.set(name, Number(line.slice(end + 1)));
  }
  return values;
}
