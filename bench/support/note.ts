// What a benchmark says while it measures; its result alone goes to stdout.

export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
