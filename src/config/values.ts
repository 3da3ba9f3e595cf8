// Names a plain value, as YAML and JSON give it, in a message.

import { isObject } from '../util/json.js';

/** A value as it is shown in a message; long texts are cut. */
export function inWords(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (isObject(value)) return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
