// A curve in one line of text.

const LEVELS = '▁▂▃▄▅▆▇█';

/** `width` characters at most: the mean of each part of `values`, between their smallest and their largest. */
export function sparkline(values: readonly number[], width: number): string {
  const count = Math.min(width, values.length);
  const means = Array.from({ length: count }, (_, i) => {
    const part = values.slice(
      Math.floor((i * values.length) / count),
      Math.floor(((i + 1) * values.length) / count),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const lowest = Math.min(...means);
  const range = Math.max(...means) - lowest;
  return means
    .map((mean) => LEVELS[range === 0 ? 0 : Math.round(((mean - lowest) / range) * (LEVELS.length - 1))])
    .join('');
}

/** A bar of `width` characters of which `share` is full. */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}
