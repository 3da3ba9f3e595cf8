// `--set key=value`: single keys of a config given on the command line, which win over the file.

import { parse, stringify, YAMLParseError } from 'yaml';
import { messageOf, UserError } from '../util/errors.js';
import { isObject } from '../util/json.js';

export interface Override {
  /** As the user typed it, for messages. */
  readonly text: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

const KEY = /^[A-Za-z]\w*(\.[A-Za-z]\w*)*$/;

/** Reads "model.heads=8"; the value is YAML, so that 8 is a number, `null` is null and [1, 2] a list. */
export function parseOverride(text: string): Override {
  const equals = text.indexOf('=');
  const key = text.slice(0, equals).trim();
  if (equals < 0 || !KEY.test(key)) {
    throw new UserError('CONFIG_INVALID', `--set ${text}: expected key=value, such as model.heads=8`);
  }
  try {
    const value: unknown = parse(text.slice(equals + 1));
    return { text, path: key.split('.'), value };
  } catch (error) {
    const reason =
      error instanceof YAMLParseError ? error.message.split(/ at line|\n/)[0]! : messageOf(error);
    throw new UserError('CONFIG_INVALID', `--set ${text}: expected a YAML value after "=": ${reason}`);
  }
}

/** What parseOverride reads as this string. */
export function overrideText(key: string, value: string): string {
  return `${key}=${stringify(value, { lineWidth: 0 }).trimEnd()}`;
}

/** A copy of `config` with the overrides put in, in order; mappings on the way are made where missing. */
export function applyOverrides(config: unknown, overrides: readonly Override[]): unknown {
  return overrides.reduce((result, { path, value }) => withValueAt(result, path, value), config);
}

function withValueAt(target: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const mapping = isObject(target) ? target : {};
  return {
    ...mapping,
    [key]: withValueAt(Object.hasOwn(mapping, key) ? mapping[key] : undefined, rest, value),
  };
}
