// Numbers as people read them: counts, durations, bytes. Runs in Node and in browsers.

// Made once: making one takes longer than all that it formats in a step.
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** Whole numbers with separators, others with one decimal: 12345 is "12,345". */
export function formatCount(value: number): string {
  return (Number.isInteger(value) ? whole : oneDecimal).format(value);
}

/** "1 worker", "12,345 workers". */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Seconds as "0:07", "1:02:03", "12 days". */
export function formatDuration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const hours = Math.floor(total / 3600);
  if (hours >= 72) return `${Math.round(hours / 24)} days`;
  const minutes = Math.floor((total % 3600) / 60);
  const rest = String(total % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** Bytes as "12.7 MB". */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let power = 0;
  while (power < units.length - 1 && bytes >= 999.5 * 1000 ** power) power++;
  const value = bytes / 1000 ** power;
  return `${(power > 0 && value < 99.95 ? oneDecimal : whole).format(value)} ${units[power]}`;
}

/** Text from elsewhere, such as a worker's name, without what could steer a terminal. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g, ' ');
}

/** The beginning of a long text, to be quoted. */
export function excerpt(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}
