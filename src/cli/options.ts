// Option types that several commands share: each turns an argument's text into a value or refuses it.

import { InvalidArgumentError } from 'commander';

/** For options given several times (`--set a=1 --set b=2`): pass `[]` as their default. */
export function repeatable(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

/** A whole number from `min` to `max`, both included. */
export function integerArgument(min: number, max = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (/^[+-]?\d+$/.test(value) && parsed >= min && parsed <= max) return parsed;
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number, ${range}.`);
  };
}

/** A finite number from `min` to `max`, both included. */
export function numberArgument(min: number, max = Infinity): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (value.trim() !== '' && Number.isFinite(parsed) && parsed >= min && parsed <= max) return parsed;
    const range = max === Infinity ? `${min} or more` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a number, ${range}.`);
  };
}
