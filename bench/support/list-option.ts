// An option that takes some of several names.
import { InvalidArgumentError } from 'commander';

/** For names given as a,b,c. */
export function oneOrMoreOf<T extends string>(known: readonly T[]): (value: string) => T[] {
  return (value) =>
    value.split(',').map((name) => {
      const found = known.find((each) => each === name);
      if (found === undefined) throw new InvalidArgumentError(`Expected some of ${known.join(',')}.`);
      return found;
    });
}
