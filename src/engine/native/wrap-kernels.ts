// The addon's kernels with something around each call.

export type Kernel = (...given: unknown[]) => unknown;

/** A table of the same functions, each as `wrap` makes it. */
export function wrapKernels<Table extends object>(table: Table, wrap: (kernel: Kernel) => Kernel): Table {
  const entries = Object.entries(table as Readonly<Record<string, Kernel>>);
  return Object.fromEntries(entries.map(([name, kernel]) => [name, wrap(kernel)])) as Table;
}
