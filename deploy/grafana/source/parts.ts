// What the dashboards are made of: variables, links, annotations, and the two kinds of panels, with the same look everywhere.

import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
  type DataSourceRef,
} from '@grafana/grafana-foundation-sdk/common';
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

const DATA_SOURCE: DataSourceRef = { type: 'prometheus', uid: '${datasource}' };
/** A dashboard is 24 wide. */
const GRAPH = { width: 8, height: 8 };
const NUMBER = { width: 3, height: 4 };

/** A metric of the chosen run; `matchers` such as `phase="compute"`. */
export function of(metric: string, matchers = ''): string {
  return `${metric}{run="$run",instance=~"$instance"${matchers && `,${matchers}`}}`;
}

/** Its increase per second. */
export function rate(metric: string, matchers = ''): string {
  return `rate(${of(metric, matchers)}[$__rate_interval])`;
}

/** How much it grew in the time between two points of a graph. */
export function increase(metric: string, matchers = ''): string {
  return `increase(${of(metric, matchers)}[$__rate_interval])`;
}

/** A histogram's quantile over the time between two points of a graph. */
export function quantile(q: number, histogram: string): string {
  return `histogram_quantile(${q}, sum by (le) (${rate(`${histogram}_bucket`)}))`;
}

/** A histogram's mean over the time between two points of a graph. */
export function mean(histogram: string): string {
  return `sum(${rate(`${histogram}_sum`)}) / sum(${rate(`${histogram}_count`)})`;
}

type Query = readonly [expression: string, legend: string];
/** From this value up, or below the first one, in this colour. */
type Threshold = readonly [value: number | null, colour: string];

interface PanelOptions {
  readonly title: string;
  /** What it shows, how to read it, what to do about it. */
  readonly description: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly thresholds?: readonly Threshold[];
  readonly decimals?: number;
  readonly width?: number;
}

interface GraphOptions extends PanelOptions {
  readonly stacked?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** One panel for each value of this variable. */
  readonly repeat?: string;
}

function query([expression, legend]: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .refId(String.fromCharCode('A'.charCodeAt(0) + index))
    .datasource(DATA_SOURCE)
    .expr(expression)
    .legendFormat(legend)
    .range();
}

function thresholdsOf(steps: readonly Threshold[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(([value, color]) => ({ value, color })));
}

/** Lines over time. */
export function graph(options: GraphOptions): TimeseriesBuilder {
  const { title, description, unit, queries, thresholds, decimals, width, stacked, min, max, repeat } =
    options;
  const panel = new TimeseriesBuilder()
    .title(title)
    .description(description)
    .datasource(DATA_SOURCE)
    .unit(unit)
    .span(width ?? GRAPH.width)
    .height(GRAPH.height)
    .targets(queries.map(query))
    .showPoints(VisibilityMode.Never)
    .lineWidth(stacked ? 0 : 1)
    .fillOpacity(stacked ? 70 : 8)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi));
  if (stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
  if (decimals !== undefined) panel.decimals(decimals);
  if (min !== undefined) panel.min(min);
  if (max !== undefined) panel.max(max);
  if (repeat !== undefined) panel.repeat(repeat).repeatDirection('h').maxPerRow(6);
  if (thresholds) {
    panel
      .thresholds(thresholdsOf(thresholds))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  }
  return panel;
}

/** The newest value, large, with its course behind it. */
export function number(options: PanelOptions): StatBuilder {
  const { title, description, unit, queries, thresholds, decimals, width } = options;
  const panel = new StatBuilder()
    .title(title)
    .description(description)
    .datasource(DATA_SOURCE)
    .unit(unit)
    .span(width ?? NUMBER.width)
    .height(NUMBER.height)
    .targets(queries.map(query))
    .graphMode(BigValueGraphMode.Area)
    .colorMode(thresholds ? BigValueColorMode.Value : BigValueColorMode.None)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']));
  if (decimals !== undefined) panel.decimals(decimals);
  if (thresholds) panel.thresholds(thresholdsOf(thresholds));
  return panel;
}

function queryVariable(name: string, label: string, definition: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATA_SOURCE)
    .query({ query: definition, refId: name })
    .definition(definition)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalCaseInsensitiveAsc);
}

/** One or more values of a label, all of them at first. */
export function several(name: string, label: string, definition: string): QueryVariableBuilder {
  return queryVariable(name, label, definition).multi(true).includeAll(true).allValue('.*');
}

/** A mark at the time that a metric's value names, in seconds since 1970. */
function annotation(name: string, colour: string, expression: string, title: string): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name(name)
    .datasource(DATA_SOURCE)
    .enable(true)
    .iconColor(colour)
    .expr(expression)
    .titleFormat(title)
    .step('10s')
    .useValueForTime(true);
}

/** An empty dashboard with what all of them share. */
export function dashboard(uid: string, title: string, description: string): DashboardBuilder {
  const others = new DashboardLinkBuilder('Lockstep')
    .type(DashboardLinkType.Dashboards)
    .tags(['lockstep'])
    .includeVars(true)
    .keepTime(true);
  return new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['lockstep'])
    .timezone('browser')
    .refresh('10s')
    .time({ from: 'now-1h', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(others)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(queryVariable('run', 'Run', 'label_values(lockstep_run_info, run)'))
    .withVariable(several('instance', 'Instance', 'label_values(lockstep_run_info{run="$run"}, instance)'))
    .annotation(
      annotation(
        'Coordinator starts',
        'orange',
        `${of('process_start_time_seconds')} * 1000`,
        'the coordinator started',
      ),
    )
    .annotation(
      annotation(
        'Checkpoints',
        'green',
        `${of('lockstep_checkpoint_timestamp_seconds')} * 1000 > 0`,
        'checkpoint written',
      ),
    );
}
