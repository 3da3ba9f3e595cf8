// Commands as a person types them, for sentences that say what to type next.

/** A call of this program with these arguments, quoted for a shell where they must be. */
export function commandLine(args: readonly string[]): string {
  const quoted = args.map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  );
  return ['npx lockstep', ...quoted].join(' ');
}
