// What crosses a connection between a worker and the coordinator or one of its reducers.
import type {
  CoordinatorToWorker,
  ReducerToWorker,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../protocol/messages.js';

export type FromWorker = WorkerToCoordinator | WorkerToReducer;
export type ToWorker = CoordinatorToWorker | ReducerToWorker;
