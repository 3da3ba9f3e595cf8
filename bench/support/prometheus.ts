// Reads what a process serves at /metrics.

/** Values by name, labels included as they are written: `lockstep_phase_seconds_total{phase="compute"}`. */
export type MetricValues = ReadonlyMap<string, number>;

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
    if (end > 0 && !line.startsWith('#')) values.set(line.slice(0, end), Number(line.slice(end + 1)));
  }
  return values;
}
