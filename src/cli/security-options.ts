// Options about keys, and the rule they serve: beyond this machine a coordinator listens only with keys, or when
// somebody vouches for the network.
import type { Command } from 'commander';
import type { Logger } from 'pino';
import type { CoordinatorProcessOptions } from '../coordinator/process.js';
import type { NamedKey } from '../transport/key-files.js';
import type { ClientSecurity } from '../transport/keys.js';
import { UserError } from '../util/errors.js';

export interface CoordinatorKeyOptions {
  readonly key?: string;
  readonly workersAllowed?: string;
  readonly insecure?: boolean;
}

export function addCoordinatorKeyOptions(command: Command): Command {
  return command
    .option(
      '--key <file>',
      "the coordinator's secret key (npx lockstep keygen); connections are then encrypted",
    )
    .option(
      '--workers-allowed <path>',
      'with --key: public keys of the workers that may connect, a file or a directory of .pub files',
    )
    .option('--insecure', 'listen beyond this machine without keys, on a network where everybody is trusted');
}

/** What starts a worker for this coordinator, to be told to the user. */
export function workerCommand(url: string, { key }: CoordinatorKeyOptions): string {
  const keys = key === undefined ? '' : ' --key WORKER.key --coordinator-key COORDINATOR.pub';
  return `Workers: npx lockstep worker ${url}${keys}`;
}

/**
 * @param own keys that are allowed beside those of `--workers-allowed`
 * @throws UserError BIND_OPEN when others could connect without a key; what key files throw
 */
export async function coordinatorSecurity(
  options: CoordinatorKeyOptions,
  bind: string,
  own: readonly NamedKey[],
  log: Logger,
): Promise<CoordinatorProcessOptions['security']> {
  const { key, workersAllowed, insecure } = options;
  if (key === undefined && workersAllowed === undefined) {
    if (!isLoopback(bind) && !insecure) throw openBind(bind);
    if (!isLoopback(bind))
      log.warn(`--insecure: whoever reaches ${bind} can join, read and change what is trained`);
    return null;
  }
  if (key === undefined || workersAllowed === undefined) {
    throw new UserError(
      'OPTION_MISSING',
      `--key and --workers-allowed belong together: ${key === undefined ? '--key' : '--workers-allowed'} is missing`,
    );
  }
  const [{ readKeyPair }, { AllowList }] = await Promise.all([
    import('../transport/key-files.js'),
    import('../transport/allow-list.js'),
  ]);
  const keys = readKeyPair(key);
  const allowed = new AllowList(workersAllowed, own, (message) => log.error(message));
  return { keys, nameOf: (publicKey) => allowed.nameOf(publicKey) };
}

/** 127.0.0.0/8, ::1, or the name that stands for them. */
function isLoopback(url: string): boolean {
  return /^tcp:\/\/(127(\.\d{1,3}){3}|localhost|\[::1\]):/.test(url);
}

function openBind(bind: string): UserError {
  return new UserError(
    'BIND_OPEN',
    `--bind ${bind} can be reached from other machines, and without keys whoever reaches it can join. ` +
      'Make keys (npx lockstep keygen) and give --key and --workers-allowed, or --insecure on a network that you trust',
  );
}

export interface WorkerKeyOptions {
  readonly key?: string;
  readonly coordinatorKey?: string;
}

export function addWorkerKeyOptions(command: Command): Command {
  return command
    .option(
      '--key <file>',
      "this worker's secret key (npx lockstep keygen); the connection is then encrypted",
    )
    .option('--coordinator-key <file>', 'with --key: the public key of the only coordinator to work for');
}

export async function workerSecurity(options: WorkerKeyOptions): Promise<ClientSecurity | null> {
  const { key, coordinatorKey } = options;
  if (key === undefined && coordinatorKey === undefined) return null;
  if (key === undefined || coordinatorKey === undefined) {
    throw new UserError(
      'OPTION_MISSING',
      `--key and --coordinator-key belong together: ${key === undefined ? '--key' : '--coordinator-key'} is missing`,
    );
  }
  const { readKeyPair, readPublicKey } = await import('../transport/key-files.js');
  return { keys: readKeyPair(key), coordinator: readPublicKey(coordinatorKey) };
}
