// docs/configuration.md: every key of a run's config with its values, its default and its meaning, from the schema.

import { isObject } from '../util/json.js';
import { jsonSchema, type JsonSchema } from './json-schema.js';

const OPENING = `<!-- Made by \`npx lockstep schema --markdown\` from src/config/schema.ts: change that, not this. -->

# A run's config

A YAML file says what is trained and how; \`lockstep train\` and \`lockstep coordinator\` take it. Only \`data\` must be given.
[examples/](../examples/) has whole files, and \`--set key.key=value\` overrides a key for one call:

    npx lockstep train examples/masked.yaml --set optimizer.learningRate=0.0005 --set 'objective={kind: causal}'

A key that is unknown or out of range is named with its line. When a run goes on, a change that would change its bits is
refused and named; all else may change. Editors complete and check the file by its first line:

\`\`\`yaml
# yaml-language-server: $schema=../lockstep.schema.json
\`\`\`
`;

/** The text of docs/configuration.md. */
export function configurationPage(schema: JsonSchema = jsonSchema()): string {
  return [OPENING, ...sectionsOf(schema, 'All keys', '')].join('\n');
}

/** A section with a table of the schema's keys, then one for each mapping among them. */
function sectionsOf(schema: JsonSchema, title: string, path: string): string[] {
  const properties = Object.entries(schema.properties ?? {}).filter(([key]) => key !== 'kind');
  const inner = properties.flatMap(([key, mapping]) => mappingSections(path + key, mapping));
  if (properties.length === 0) return inner;
  const rows = properties.map(([key, property]) => {
    const cells = [linked(key, path, property), valuesOf(property), defaultOf(property)];
    return `| ${[...cells, (property.description ?? '').replaceAll('|', '\\|')].join(' | ')} |`;
  });
  const heading = ['| key | values | default | meaning |', '| --- | --- | --- | --- |'];
  return [`## ${title}\n`, ...heading, ...rows, '', ...inner];
}

function mappingSections(path: string, mapping: JsonSchema): string[] {
  if (mapping.oneOf === undefined) {
    return mapping.properties ? sectionsOf(mapping, `\`${path}\``, `${path}.`) : [];
  }
  return mapping.oneOf.flatMap((option) => {
    const kind = `\`${path}.kind: ${String(option.properties?.['kind']?.const)}\``;
    const table = sectionsOf(option, kind, `${path}.`);
    const [heading = `## ${kind}\n`, ...rest] = table;
    return [heading, `${option.description}\n`, ...rest];
  });
}

/** A mapping's key leads to its section. */
function linked(key: string, path: string, { properties, oneOf }: JsonSchema): string {
  if (properties) return `[\`${key}\`](#${anchor(path + key)})`;
  const kind = oneOf?.[0]?.properties?.['kind']?.const;
  if (typeof kind !== 'string') return `\`${key}\``;
  return `[\`${key}\`](#${anchor(`${path}${key}.kind: ${kind}`)})`;
}

function anchor(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function valuesOf(schema: JsonSchema): string {
  if (schema.anyOf) return schema.anyOf.map(valuesOf).join(' or ');
  if (schema.oneOf) {
    return `\`kind\`: ${schema.oneOf.map((option) => code(option.properties?.['kind']?.const)).join(', ')}`;
  }
  if (schema.enum) return schema.enum.map(code).join(', ');
  if (schema.const !== undefined) return code(schema.const);
  if (schema.type === 'null') return code(null);
  if (schema.type === 'boolean') return `${code(true)}, ${code(false)}`;
  if (schema.type === 'integer' || schema.type === 'number') return `${schema.type}${boundsOf(schema)}`;
  if (typeof schema.type === 'object')
    return schema.type.map((type) => valuesOf({ ...schema, type })).join(' or ');
  return schema.properties ? 'mapping' : (schema.type ?? '');
}

function boundsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const bounds: string[] = [];
  if (minimum !== undefined) bounds.push(`≥ ${minimum}`);
  if (exclusiveMinimum !== undefined) bounds.push(`> ${exclusiveMinimum}`);
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) bounds.push(`≤ ${maximum}`);
  if (exclusiveMaximum !== undefined) bounds.push(`< ${exclusiveMaximum}`);
  return bounds.length === 0 ? '' : `, ${bounds.join(', ')}`;
}

function defaultOf({ default: value }: JsonSchema): string {
  if (value === undefined || (isObject(value) && Object.keys(value).length === 0)) return '';
  return isObject(value) ? code(value['kind']) : code(value);
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
