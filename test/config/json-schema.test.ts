import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  allKeys,
  jsonSchema,
  jsonSchemaText,
  keysAt,
  type JsonSchema,
} from '../../src/config/json-schema.js';
import { configurationPage } from '../../src/config/markdown.js';
import { loadConfig } from '../../src/config/load.js';
import { packageRoot } from '../../src/util/package.js';

test('lockstep.schema.json is what `lockstep schema` prints', () => {
  const committed = readFileSync(`${packageRoot}lockstep.schema.json`, 'utf8');
  assert.equal(committed, jsonSchemaText(), 'run: npx lockstep schema > lockstep.schema.json');
});

test('docs/configuration.md is what `lockstep schema --markdown` prints', () => {
  const committed = readFileSync(`${packageRoot}docs/configuration.md`, 'utf8');
  assert.equal(committed, configurationPage(), 'run: npx lockstep schema --markdown > docs/configuration.md');
});

test('docs/configuration.md has a row for every key', () => {
  const page = configurationPage();
  for (const key of allKeys().map((path) => path.split('.').at(-1)!))
    assert.ok(page.includes(`\`${key}`), key);
});

test('docs/configuration.md says "or" between the types of a key', () => {
  const text: JsonSchema = { type: ['string', 'null'], description: 'A name.' };
  const page = configurationPage({ properties: { name: text } });
  assert.ok(page.includes('| `name` | string or `null` |  | A name. |'), page);
});

test('every key has a doc sentence', () => {
  const visit = (schema: JsonSchema, path: string): void => {
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      if (key !== 'kind') assert.match(inner.description ?? '', /\.$/, `${path}${key}`);
      for (const option of [inner, ...(inner.oneOf ?? [])]) visit(option, `${path}${key}.`);
    }
  };
  visit(jsonSchema(), '');
});

test('the data is all that must be given', () => {
  assert.deepEqual(jsonSchema().required, ['data']);
  const objective = jsonSchema().properties?.['objective'];
  assert.deepEqual(
    objective?.oneOf?.map((option) => option.required),
    [undefined, ['kind'], ['kind']],
  );
});

test('known keys follow the kind', () => {
  assert.deepEqual(keysAt(['objective'], { objective: { kind: 'causal' } }), ['kind']);
  assert.ok(keysAt(['objective'], { objective: {} }).includes('rate'));
  assert.ok(allKeys().includes('optimizer.schedule.finalRatio'));
});

for (const name of readdirSync(`${packageRoot}examples`)) {
  const file = `examples/${name}`;
  test(`${file} is a config that the schema in its first line accepts`, () => {
    const [first] = readFileSync(packageRoot + file, 'utf8').split('\n');
    assert.equal(first, '# yaml-language-server: $schema=../lockstep.schema.json');
    loadConfig(packageRoot + file);
  });
}
