// What happens in a simulated cluster, in words.
import type { CoordinatorAction } from '../../src/coordinator/events.js';
import type { NodeId } from '../../src/protocol/node-id.js';
import { CONTROL } from '../../src/simulation/coordinator-host.js';
import type { FromWorker, ToWorker } from '../../src/simulation/wire.js';

export function nameOf(endpoint: number): string {
  return endpoint === CONTROL ? 'coordinator' : `reducer${endpoint}`;
}

function nodeName({ step, round, level, index }: NodeId): string {
  return `${step}${round > 0 ? ` again` : ''}:${level}.${index}`;
}

/** What every message of a kind has in common, and what is too long for a line. */
const LEFT_OUT = ['type', 'session', 'term', 'step', 'round', 'level', 'index', 'job', 'reducers', 'report'];

export function brief(message: FromWorker | ToWorker): string {
  const node = 'level' in message ? ` ${nodeName(message)}` : '';
  const fields = Object.entries(message)
    .filter(([key]) => !LEFT_OUT.includes(key))
    .map(([key, value]) => ` ${key} ${JSON.stringify(value)}`);
  const envelope = 'session' in message ? ` [${message.session}, term ${message.term}]` : '';
  return `${message.type}${node}${fields.join('')}${envelope}`;
}

export function describe(action: CoordinatorAction): string {
  if (action.type === 'log') return `log: ${action.message}`;
  if (action.type === 'lease' || action.type === 'recall')
    return `${action.type} ${nodeName(action.node)} ${action.session}`;
  const { type, ...rest } = action;
  return `${type} ${JSON.stringify(rest)}`;
}
