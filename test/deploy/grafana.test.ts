// The dashboards as files: current, and with what a reader needs beside each graph.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { packageRoot } from '../../src/util/package.js';
import { dashboardFiles } from '../../deploy/grafana/source/dashboards.js';
import { dashboardNames, dashboardQueries, readDashboard } from './queries.js';

const folder = `${packageRoot}deploy/grafana/`;

test('the committed dashboards are what `npm run dashboards` writes', () => {
  const files = dashboardFiles();
  assert.deepEqual(readdirSync(`${folder}dashboards`).sort(), [...files.keys()].sort());
  for (const [name, text] of files) {
    const committed = readFileSync(`${folder}dashboards/${name}`, 'utf8');
    assert.equal(committed === text, true, `${name} is out of date: run npm run dashboards`);
  }
});

test('every panel says what it shows and in which unit, and names its series', () => {
  const faults = dashboardNames.flatMap((name) =>
    readDashboard(name)
      .panels.filter(({ type }) => type !== 'row')
      .flatMap(({ title, description, fieldConfig, targets = [] }) => {
        const where = `${name} / ${title}`;
        return [
          ...(title ? [] : [`${name}: a panel has no title`]),
          ...(/^[A-Z].*\.$/s.test(description ?? '') ? [] : [`${where}: its description is no sentence`]),
          ...(fieldConfig?.defaults.unit ? [] : [`${where}: it has no unit`]),
          ...(targets.length > 0 ? [] : [`${where}: it asks nothing`]),
          ...(targets.every(({ legendFormat }) => legendFormat) ? [] : [`${where}: a series has no name`]),
        ];
      }),
  );
  assert.deepEqual(faults, []);
});

test('every query is of the chosen run and instance, or of GPUs joined with it', () => {
  const wrong = dashboardNames.flatMap(dashboardQueries).filter(({ expression }) => {
    const selectors = expression.match(/\b(?:lockstep|process|nodejs)_\w+(\{[^}]*\})?/g) ?? [];
    return (
      selectors.length === 0 ||
      selectors.some((selector) => !selector.includes('{run="$run",instance=~"$instance"'))
    );
  });
  assert.deepEqual(wrong, []);
});

test('the dashboards have identities of their own and link to each other', () => {
  const boards = dashboardNames.map((name) => readDashboard(name));
  assert.equal(new Set(boards.map(({ uid }) => uid)).size, boards.length);
  for (const board of boards) {
    assert.ok(board.tags.includes('lockstep'));
    const [link] = board.links;
    assert.deepEqual(
      [link?.type, link?.tags, link?.includeVars, link?.keepTime],
      ['dashboards', ['lockstep'], true, true],
    );
  }
});

test('provisioning names a data source of the kind the dashboards ask for, and where they lie', () => {
  const read = (file: string): Record<string, unknown> =>
    parse(readFileSync(`${folder}provisioning/${file}`, 'utf8')) as Record<string, unknown>;
  const { datasources } = read('datasources/lockstep.yaml') as { datasources: { type: string }[] };
  assert.deepEqual(
    datasources.map(({ type }) => type),
    ['prometheus'],
  );
  const { providers } = read('dashboards/lockstep.yaml') as { providers: { type: string }[] };
  assert.deepEqual(
    providers.map(({ type }) => type),
    ['file'],
  );
  assert.ok(existsSync(`${folder}dashboards`));
});
