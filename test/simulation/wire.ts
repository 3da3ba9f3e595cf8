// The connection between a simulated worker and the coordinator or one of its reducers.
import type { FromWorker, ToWorker } from '../../src/simulation/wire.js';
import type { Connection } from './network.js';

export type Wire = Connection<FromWorker, ToWorker>;
