// The queries of dashboards and alerts, as something a Prometheus can be asked.

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { packageRoot } from '../../src/util/package.js';

export interface Panel {
  readonly type: string;
  readonly title?: string;
  readonly description?: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat?: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
}

export interface Dashboard {
  readonly uid: string;
  readonly tags: readonly string[];
  readonly links: readonly {
    readonly type: string;
    readonly tags: readonly string[];
    readonly includeVars: boolean;
    readonly keepTime: boolean;
  }[];
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

/** What is asked, and where it stands. */
export interface Query {
  readonly where: string;
  readonly expression: string;
}

export const dashboardNames = ['run', 'cluster', 'faults'] as const;

export function readDashboard(name: string): Dashboard {
  return JSON.parse(
    readFileSync(`${packageRoot}deploy/grafana/dashboards/${name}.json`, 'utf8'),
  ) as Dashboard;
}

export function readAlerts(): readonly Alert[] {
  const { groups } = parse(readFileSync(`${packageRoot}deploy/prometheus/alerts.yml`, 'utf8')) as {
    groups: readonly { readonly rules: readonly Alert[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

export function dashboardQueries(name: string): Query[] {
  const { panels, annotations } = readDashboard(name);
  return [
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat }) => ({
        where: `${name} / ${title} / ${legendFormat}`,
        expression: expr,
      })),
    ),
    ...annotations.list.map(({ name: mark, expr }) => ({
      where: `${name} / annotation ${mark}`,
      expression: expr,
    })),
  ];
}

/** Grafana's variables filled in. */
export function fillIn(expression: string, run: string, range: string): string {
  const values: Record<string, string> = {
    run,
    instance: '.*',
    worker: '.*',
    __rate_interval: range,
    __range: range,
  };
  return expression.replace(/\$([A-Za-z_]\w*)/g, (_, name: string) => values[name] ?? assertNever(name));
}

function assertNever(name: string): never {
  throw new Error(`no value for the variable $${name}`);
}

const COMPARISONS = /^(?:[<>!=]=|[<>]|\b(?:and|or|unless)\b)/;

/**
 * The sides of an alert's comparisons that stand outside of brackets. Each says something of a healthy run too, of which
 * the comparison says nothing.
 */
export function sides(expression: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < expression.length; at++) {
    const character = expression[at]!;
    if ('([{'.includes(character)) depth++;
    else if (')]}'.includes(character)) depth--;
    else if (depth === 0 && !/\w/.test(expression[at - 1] ?? ' ')) {
      const [operator] = COMPARISONS.exec(expression.slice(at)) ?? [];
      if (operator === undefined) continue;
      found.push(expression.slice(start, at).trim());
      at += operator.length - 1;
      start = at + 1;
    }
  }
  return [...found, expression.slice(start).trim()];
}
