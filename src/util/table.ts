// Plain text tables: a column of names, and others of numbers, which are flush right, or of words.
import { padding, widthOf } from './columns.js';

/** Lines of `rows`, whose first is the heading; columns are as wide as their widest cell. `of`: what is in all but the first. */
export function table(rows: readonly (readonly string[])[], of: 'numbers' | 'words' = 'numbers'): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => widthOf(row[column] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const spaces = padding(cell, widths[column]!);
        return of === 'words' || column === 0 ? cell + spaces : spaces + cell;
      })
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}
