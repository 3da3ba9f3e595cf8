// Whether the tests run as root, as some faults need.

/** For `skip`: why not, for who is not root; false for root. */
export function withoutRoot(what: string): string | false {
  return process.getuid?.() === 0 ? false : `needs root, ${what}`;
}
