// The connection between a worker and the coordinator or one of its reducers, and what crosses it.
import type {
  CoordinatorToWorker,
  ReducerToWorker,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../../src/protocol/messages.js';
import type { Connection } from './network.js';

export type FromWorker = WorkerToCoordinator | WorkerToReducer;
export type ToWorker = CoordinatorToWorker | ReducerToWorker;
export type Wire = Connection<FromWorker, ToWorker>;
