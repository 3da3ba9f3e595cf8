// All dashboards, as the files that Grafana reads.

import { clusterDashboard } from './cluster.js';
import { faultsDashboard } from './faults.js';
import { runDashboard } from './run.js';

/** The text of each file in deploy/grafana/dashboards/. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  const boards = { run: runDashboard(), cluster: clusterDashboard(), faults: faultsDashboard() };
  return new Map(
    Object.entries(boards).map(([name, board]) => [
      `${name}.json`,
      `${JSON.stringify(board.build(), null, 2)}\n`,
    ]),
  );
}
