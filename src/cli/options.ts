// Option types that several commands share: each turns an argument's text into a value or refuses it.

import { InvalidArgumentError, Option } from 'commander';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

export function logLevelOption(usual: LogLevel): Option {
  return new Option('--log-level <level>', 'what is logged: this and what is worse')
    .choices(LEVELS)
    .default(usual);
}

/** An option that may be given several times (`--set a=1 --set b=2`). */
export function repeatableOption(flags: string, description: string): Option {
  return new Option(flags, `${description}; may be repeated`)
    .argParser((value: string, previous: readonly string[]) => [...previous, value])
    .default([], 'none');
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

/** The same, or "auto". */
export function integerOrAuto(min: number, max: number): (value: string) => number | 'auto' {
  return (value) => {
    if (value === 'auto') return value;
    try {
      return integerArgument(min, max)(value);
    } catch {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}, or auto.`);
    }
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
