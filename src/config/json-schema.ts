// The JSON Schema of a run's config, for editors (lockstep.schema.json) and for the names of known keys.

import { z } from 'zod';
import { isObject, jsonText } from '../util/json.js';
import { runConfigSchema } from './schema.js';

/** The part of JSON Schema that zod writes for our schema. */
export interface JsonSchema {
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly const?: unknown;
  readonly default?: unknown;
  readonly required?: readonly string[];
}

/** JSON Schema (draft 2020-12) of what a config file may hold. */
export function jsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(runConfigSchema, {
    io: 'input',
    override: ({ jsonSchema, path }) => {
      // The real default is the file's name, which a schema cannot say.
      if (path.join('.') === 'properties.name') delete jsonSchema.default;
    },
  }) as JsonSchema;
  return { title: 'Lockstep run', ...withOptionalKinds(schema) };
}

/** A union's default `kind` may be left out, which zod's own JSON Schema does not know. */
function withOptionalKinds(schema: JsonSchema): JsonSchema {
  const properties = Object.entries(schema.properties ?? {}).map(([key, inner]) => [
    key,
    withOptionalKinds(inner),
  ]);
  const optional = isObject(schema.default) ? schema.default['kind'] : undefined;
  return {
    ...schema,
    ...(schema.properties && {
      properties: Object.fromEntries(properties) as JsonSchema['properties'] & object,
    }),
    ...(schema.oneOf && {
      oneOf: schema.oneOf.map((s) => (kindOf(s) === optional ? withoutRequired(s) : s)),
    }),
  };
}

function withoutRequired({ required: _, ...rest }: JsonSchema): JsonSchema {
  return rest;
}

function kindOf(schema: JsonSchema): unknown {
  return schema.properties?.['kind']?.const;
}

/** The text of lockstep.schema.json. */
export function jsonSchemaText(): string {
  return jsonText(jsonSchema());
}

/**
 * The keys that may stand under `path` (empty: the top). Where `value`, the whole config, says of which kind a
 * mapping is, only that kind's; otherwise those of every kind.
 */
export function keysAt(path: readonly string[], value?: unknown): string[] {
  let schemas = branches(jsonSchema(), value);
  let inner = value;
  for (const part of path) {
    inner = isObject(inner) ? inner[part] : undefined;
    schemas = schemas.flatMap((schema) => branches(schema.properties?.[part] ?? {}, inner));
  }
  return [...new Set(schemas.flatMap((schema) => Object.keys(schema.properties ?? {})))];
}

/** Every key of the file with the mappings it lies in, such as "optimizer.schedule.kind". */
export function allKeys(schema: JsonSchema = jsonSchema(), prefix = ''): string[] {
  const found = branches(schema, null).flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([key, inner]) => [
      prefix + key,
      ...allKeys(inner, `${prefix}${key}.`),
    ]),
  );
  return [...new Set(found)];
}

/** The alternatives of a schema that `value` could be meant as. */
function branches(schema: JsonSchema, value: unknown): readonly JsonSchema[] {
  if (schema.oneOf === undefined) return [schema];
  const meant = isObject(value) ? (value['kind'] ?? (schema.default as { kind?: unknown }).kind) : undefined;
  const fitting = schema.oneOf.filter((option) => kindOf(option) === meant);
  return fitting.length > 0 ? fitting : schema.oneOf;
}
