// Between messages and decisions: what the state machine is told of a message, which has to fit the job and the reducers,
// and which message carries a decision. Without sockets, for the session and for the simulated one.
import type { ChunkGrid } from '../protocol/chunks.js';
import type { Envelope } from '../protocol/envelope.js';
import type { Job } from '../protocol/job.js';
import type {
  CoordinatorToWorker,
  Received,
  ReducerAddress,
  ReducerToWorker,
  WorkerToCoordinator,
  WorkerToReducer,
} from '../protocol/messages.js';
import { nodeIdOf } from '../protocol/node-id.js';
import { checkGrant, checkParameters, checkTask } from './checks.js';
import type { Task, WorkerAction, WorkerEvent } from './events.js';

type Action<T extends WorkerAction['type']> = WorkerAction & { readonly type: T };

// ---- what is heard

/** `id`: by which the task will be known here. Throws ProtocolError, as what follows does. */
export function taskOf(
  message: CoordinatorToWorker & { type: 'lease' | 'evaluate' },
  id: number,
  job: Job,
): Task {
  checkTask(message, job);
  if (message.type === 'lease') return { kind: 'node', id, version: message.step, node: nodeIdOf(message) };
  return { kind: 'evaluation', id, version: message.version, index: message.index };
}

export function eventOfReducer(
  reducer: number,
  message: Received<ReducerToWorker> & { type: 'grant' | 'done' | 'parameters' },
  slice: ReducerAddress,
  grid: ChunkGrid,
): WorkerEvent {
  switch (message.type) {
    case 'grant':
      checkGrant(message.chunks, slice, grid);
      return { type: 'grant', reducer, node: nodeIdOf(message), chunks: message.chunks };
    case 'done':
      return { type: 'done', reducer, node: nodeIdOf(message) };
    case 'parameters': {
      const { version, chunk, payload } = message;
      checkParameters(chunk, payload.length, slice, grid);
      return { type: 'parameters', reducer, version, chunk };
    }
  }
}

// ---- what is said

export function messageToReducer(
  action: Action<'pull' | 'received' | 'offer' | 'withdraw' | 'sendChunk'>,
  envelope: Envelope,
): WorkerToReducer {
  switch (action.type) {
    case 'pull': {
      const { version, chunk, received } = action;
      return { type: 'pull', ...envelope, version, chunk, received };
    }
    case 'received':
      return { type: 'received', ...envelope, received: action.received };
    case 'offer':
    case 'withdraw':
      return { type: action.type, ...envelope, ...action.node };
    case 'sendChunk':
      return { type: 'chunk', ...envelope, ...action.node, chunk: action.chunk };
  }
}

/** What goes with the results of a task. */
export function resultMessage({ task, seconds }: Action<'tell'>, envelope: Envelope): WorkerToCoordinator {
  if (task.kind === 'node') return { type: 'computed', ...envelope, ...task.node, seconds };
  return { type: 'evaluated', ...envelope, version: task.version, index: task.index };
}
