// Reads a run's YAML file into a checked RunConfig. Every fault is listed with file, line, key, what was
// expected and what was found.

import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { isMap, isNode, LineCounter, parseDocument, type Document } from 'yaml';
import { messageOf, UserError } from '../util/errors.js';
import { isObject } from '../util/json.js';
import { describeIssues } from './faults.js';
import { applyOverrides, parseOverride, type Override } from './overrides.js';
import { runConfigSchema, type RunConfig } from './schema.js';

/**
 * Reads and checks `file`, with `overrides` ("key=value") put over it. The name defaults to the file's, and paths become
 * absolute: a relative one is relative to the file, or to the working directory when an override gave it.
 * Throws a UserError `CONFIG_NOT_FOUND` or `CONFIG_INVALID`, which lists all faults.
 */
export function loadConfig(file: string, overrides: readonly string[] = []): RunConfig {
  const parsedOverrides = overrides.map(parseOverride);
  const source = new ConfigSource(file, readText(file), parsedOverrides);
  const fromFile = source.toPlain();
  const value = applyOverrides(fromFile, parsedOverrides);
  const named = isObject(value) ? { name: defaultName(file), ...value } : value;
  const config = check(named, (path) => source.locate(path));
  const baseOf = (key: string): string =>
    parsedOverrides.some(({ path }) => path[0] === key) ? '.' : dirname(file);
  const { data, checkpoints, initialise } = config;
  return {
    ...config,
    data: resolve(baseOf('data'), data),
    checkpoints: checkpoints === null ? null : located(baseOf('checkpoints'), checkpoints),
    initialise: initialise === null ? null : modelAt(baseOf('initialise'), initialise),
  };
}

function located(base: string, location: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(location) ? location : resolve(base, location);
}

/** A bare name is that of a run. */
function modelAt(base: string, location: string): string {
  return /^[^./\\][^/\\]*$/.test(location) ? resolve('runs', location) : located(base, location);
}

/** Checks a config that comes from elsewhere than a YAML file; `where` begins each message. */
export function parseRunConfig(value: unknown, where: string): RunConfig {
  return check(value, () => where);
}

function check(value: unknown, locate: (path: readonly string[]) => string): RunConfig {
  const result = runConfigSchema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const faults = describeIssues(result.error.issues, value, locate);
  throw new UserError('CONFIG_INVALID', faults.length === 1 ? faults[0]! : listed(faults));
}

/** The first of them, where a file is something else than a config. */
const MOST_LISTED = 40;

function listed(faults: readonly string[]): string {
  const shown = faults.slice(0, MOST_LISTED).map((fault) => `  ${fault}`);
  const more = faults.length - shown.length;
  if (more > 0) shown.push(`  and ${more} more`);
  return `${faults.length} faults in the config\n${shown.join('\n')}`;
}

function readText(file: string): string {
  const bytes = readBytes(file);
  if (isUtf8(bytes) && !bytes.includes(0)) return bytes.toString('utf8');
  throw new UserError('CONFIG_INVALID', `${file}: expected YAML, got a file that is not text in UTF-8`);
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EISDIR: 'it is a folder' };
    const reason = reasons[code ?? ''] ?? messageOf(error);
    throw new UserError('CONFIG_NOT_FOUND', `${file}: expected a config file, but ${reason}`);
  }
}

/** A run's name may hold fewer characters than a file's; letters with marks become those without. */
function defaultName(file: string): string {
  const name = basename(file, extname(file))
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replaceAll('ß', 'ss')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 100);
  return /^[A-Za-z0-9]/.test(name) ? name : 'run';
}

/** The YAML document together with the overrides: knows where each key was given. */
class ConfigSource {
  private readonly lines = new LineCounter();
  private readonly document: Document.Parsed;

  constructor(
    private readonly file: string,
    text: string,
    private readonly overrides: readonly Override[],
  ) {
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
    const faults = this.document.errors.map(({ code, message, pos }) => {
      const key = /^\S+?(?=:)/.exec(text.slice(pos[0]))?.[0] ?? '';
      return `${this.at(pos[0])}: ${code === 'DUPLICATE_KEY' ? `${key}: the key is given twice` : message}`;
    });
    if (faults.length > 0)
      throw new UserError('CONFIG_INVALID', faults.length === 1 ? faults[0]! : listed(faults));
  }

  /** The file's content as plain values. */
  toPlain(): unknown {
    try {
      return this.document.toJS();
    } catch (error) {
      // An alias without its anchor, or one expanded too often.
      throw new UserError('CONFIG_INVALID', `${this.file}: ${messageOf(error)}`);
    }
  }

  /** "file:line" of a key, or of the innermost mapping around it, or the override that gave it. */
  locate(path: readonly string[]): string {
    const override = this.overrides.findLast(({ path: set }) => set.every((part, i) => part === path[i]));
    if (override !== undefined) return `--set ${override.text}`;
    for (let length = path.length; length > 0; length--) {
      const offset = this.offsetOf(path.slice(0, length));
      if (offset !== null) return this.at(offset);
    }
    const partial = this.overrides.find(({ path: set }) => path.every((part, i) => part === set[i]));
    return partial === undefined || path.length === 0 ? this.file : `--set ${partial.text}`;
  }

  /** Offset of a key in the text. */
  private offsetOf(path: readonly string[]): number | null {
    const parent = this.document.getIn(path.slice(0, -1), true);
    if (!isMap(parent)) return null;
    const pair = parent.items.find(({ key }) => isNode(key) && String(key) === path.at(-1));
    return pair !== undefined && isNode(pair.key) ? (pair.key.range?.[0] ?? null) : null;
  }

  private at(offset: number): string {
    return `${this.file}:${this.lines.linePos(offset).line}`;
  }
}
