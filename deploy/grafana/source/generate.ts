// `npm run dashboards`: writes deploy/grafana/dashboards/*.json anew.

import { writeFileSync } from 'node:fs';
import { packageRoot } from '../../../src/util/package.js';
import { dashboardFiles } from './dashboards.js';

for (const [name, text] of dashboardFiles()) {
  writeFileSync(`${packageRoot}deploy/grafana/dashboards/${name}`, text);
  console.error(`deploy/grafana/dashboards/${name}`);
}
