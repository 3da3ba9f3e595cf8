// Options whose value has a unit, such as 10Gbit, 0.2ms or 60M: text to number, or a refusal that shows how it is written.
import { InvalidArgumentError, Option } from 'commander';

type Units = Readonly<Record<string, number>>;

const METRIC: Units = { k: 1e3, M: 1e6, G: 1e9 };
const DURATIONS: Units = { us: 1e-3, ms: 1, s: 1e3, min: 60e3 };

/** Milliseconds out of 200us, 0.2ms, 1s or 2min. */
export const durationArgument = quantity(DURATIONS, 'a time with its unit, such as 0.2ms, 1s or 2min');

/** A number out of 60M, 1.5G, 300k or 1000. */
export const amountArgument = quantity({ '': 1, ...METRIC }, 'a number, such as 60M, 1.5G or 300000');

/** Bytes a second out of 10Gbit, 400Mbit or 1.2GB; `unlimited` is Infinity. */
export const bandwidthArgument = quantity(
  { ...suffixed('bit', 1 / 8), ...suffixed('B', 1) },
  'bits or bytes a second with their unit, such as 10Gbit or 1.2GB, or unlimited',
  { unlimited: Infinity },
);

/** An option whose default the help shows as a user would write it. */
export function quantityOption(
  flags: string,
  description: string,
  parse: (value: string) => number,
  usual: string,
): Option {
  return new Option(flags, description).argParser(parse).default(parse(usual), usual);
}

function suffixed(suffix: string, factor: number): Units {
  return Object.fromEntries(Object.entries(METRIC).map(([name, value]) => [name + suffix, value * factor]));
}

function quantity(units: Units, expected: string, words: Units = {}): (value: string) => number {
  return (value) => {
    if (value in words) return words[value]!;
    const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(value.trim()) ?? [];
    const factor = unit === undefined ? undefined : units[unit];
    if (factor !== undefined && Number(digits) >= 0) return Number(digits) * factor;
    throw new InvalidArgumentError(`Expected ${expected}.`);
  };
}
