// Between messages and decisions: what the state machine is told of a message, and which message carries a decision. Without
// sockets, for the process and for the simulated one.
import type { LeaveReason } from '../metrics/events.js';
import type { Job } from '../protocol/job.js';
import type { CoordinatorToWorker, ReducerAddress, SessionOutcome } from '../protocol/messages.js';
import { nodeIdOf } from '../protocol/node-id.js';
import type { SamplesShape } from '../protocol/samples.js';
import { decodeStats } from '../protocol/stats.js';
import type { CoordinatorAction, CoordinatorEvent } from './events.js';
import type { SessionMessage } from './reception.js';
import type { ReducerAction } from './reducer/events.js';

type Action<T extends CoordinatorAction['type']> = CoordinatorAction & { readonly type: T };

// ---- what is heard

/** @param maxTokens that can carry loss in a micro-batch. Throws ProtocolError. */
export function eventOfWorker(
  session: string,
  message: Exclude<SessionMessage, { type: 'leave' }>,
  maxTokens: number,
): CoordinatorEvent {
  switch (message.type) {
    case 'ready': {
      const { engine, matmul, isa } = message.engine;
      const fingerprint = `${engine}, ${matmul}, ${isa}, probe ${message.probe.slice(0, 16)}`;
      return { type: 'ready', session, fingerprint };
    }
    case 'heartbeat': {
      const { sequence, report } = message;
      return { type: 'heartbeat', session, sequence, report };
    }
    case 'computed': {
      const stats = decodeStats(message.payload, maxTokens);
      return { type: 'computed', session, node: nodeIdOf(message), stats, seconds: message.seconds };
    }
    case 'evaluated': {
      const { version, index } = message;
      const [stats] = decodeStats(message.payload, maxTokens);
      return { type: 'evaluated', session, version, index, stats: stats! };
    }
  }
}

export function eventOfReducer(
  reducer: number,
  action: ReducerAction & { readonly type: 'covered' | 'root' | 'hashed' },
): CoordinatorEvent {
  return action.type === 'covered' ? action : { ...action, reducer };
}

// ---- how a session ends that the state machine did not end

export interface SessionEnding {
  readonly reason: LeaveReason;
  readonly detail: string;
  /** What its worker is told, if it can still hear. */
  readonly outcome: SessionOutcome;
}

export function workerLeft(reason: string): SessionEnding {
  return { reason: 'finished', detail: reason, outcome: 'lost' };
}

export function connectionEnded(where: 'coordinator' | 'reducer'): SessionEnding {
  const detail = where === 'coordinator' ? 'its connection ended' : 'its connection to a reducer ended';
  return { reason: 'disconnected', detail, outcome: 'lost' };
}

export function workerFailed(detail: string): SessionEnding {
  return { reason: 'failed', detail, outcome: 'lost' };
}

/** It is not wanted as it is, and may come back when it is started again. */
export function protocolBroken(detail: string): SessionEnding {
  return { reason: 'failed', detail, outcome: 'refused' };
}

// ---- what is said

/** What a coordinator says of itself. */
export interface Speaker {
  readonly term: number;
  /** The run's name. */
  readonly run: string;
  readonly runId: string;
  readonly job: Job;
  readonly reducers: readonly ReducerAddress[];
}

export function controlMessage(
  action: Action<'welcome' | 'recall' | 'heartbeat'>,
  { term, run, runId, job, reducers }: Speaker,
): CoordinatorToWorker {
  const { session } = action;
  switch (action.type) {
    case 'welcome':
      return { type: 'welcome', session, term, run, runId, job, reducers: [...reducers] };
    case 'recall':
      return { type: 'recall', session, term, ...action.node };
    case 'heartbeat':
      return { type: 'heartbeat', session, term, sequence: action.sequence, echo: action.echo };
  }
}

/** `shape`: of the samples that go with it. */
export function taskMessage(
  action: Action<'lease' | 'evaluate'>,
  term: number,
  shape: SamplesShape,
): CoordinatorToWorker {
  const { session } = action;
  if (action.type === 'lease') return { type: 'lease', session, term, ...action.node, ...shape };
  const { version, index } = action;
  return { type: 'evaluate', session, term, version, index, ...shape };
}

export function goodbye(reason: string, outcome: SessionOutcome): CoordinatorToWorker {
  return { type: 'bye', reason, outcome };
}
