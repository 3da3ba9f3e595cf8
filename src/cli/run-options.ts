// What `train` and `coordinator` have in common: opening the run, the coordinator's process, Ctrl-C, the outcome.
import path from 'node:path';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import type { RunConfig } from '../config/schema.js';
import type { CoordinatorProcess, Outcome } from '../coordinator/process.js';
import type { OpenRun } from '../coordinator/run.js';
import { UserError } from '../util/errors.js';
import { logLevelOption, repeatableOption, type LogLevel } from './options.js';
import { Interrupted } from './output.js';
import { parseHttpAddress, parseTcpAddress } from './address.js';
import { commandLine } from './command-line.js';
import { checkFileLimit, workersWithinFileLimit } from './file-limit.js';
import { StopSignals } from './stop-signals.js';
import type { TrainingDisplay } from './training-display.js';
import type { LocalKeys } from './local-keys.js';
import {
  addCoordinatorKeyOptions,
  coordinatorSecurity,
  type CoordinatorKeyOptions,
} from './security-options.js';

export interface RunOptions extends CoordinatorKeyOptions {
  readonly run?: string;
  readonly set: readonly string[];
  readonly bind: string;
  readonly http: string;
  readonly logLevel: LogLevel;
  readonly stay?: boolean;
}

export function addRunOptions(command: Command, defaults: { readonly bind: string }): Command {
  command
    .argument('<config>', "the run's YAML file")
    .option('--run <dir>', 'where the run lives (default: runs/NAME)')
    .addOption(repeatableOption('--set <key=value>', 'override a key of the config'))
    .option('--bind <url>', 'where workers connect, tcp://HOST:PORT', defaults.bind)
    .option(
      '--http <address>',
      'serve the live page, /metrics, /healthz and /readyz at HOST:PORT or PORT (0: any), or "off"; local workers serve theirs at the ports after it',
      '127.0.0.1:0',
    )
    .addOption(logLevelOption('warn'));
  return addCoordinatorKeyOptions(command);
}

/** A limit of open files below that many workers is worth a warning. */
const FEW_WORKERS = 64;

/** A coordinator that runs, with what it was opened from. */
export interface StartedRun {
  readonly run: OpenRun;
  readonly coordinator: CoordinatorProcess;
  readonly log: Logger;
  readonly stopSignals: StopSignals;
}

/** Workers that are started on this machine as well. */
export interface LocalPlan {
  readonly count: number;
  /** null: they need none. */
  readonly keys: LocalKeys | null;
}

export async function loadRunConfig(file: string, { set }: RunOptions): Promise<RunConfig> {
  checkFileLimit('a coordinator');
  const { loadConfig } = await import('../config/load.js');
  return loadConfig(file, set);
}

/** Opens the run and starts its coordinator. */
export async function startRun(
  config: RunConfig,
  options: RunOptions,
  display: TrainingDisplay,
  local: LocalPlan = { count: 0, keys: null },
): Promise<StartedRun> {
  const [{ openRun }, { CoordinatorProcess }, { createLogger }, { expectFreePorts }] = await Promise.all([
    import('../coordinator/run.js'),
    import('../coordinator/process.js'),
    import('../metrics/log.js'),
    import('./free-ports.js'),
  ]);
  const bind = parseTcpAddress(options.bind, { anyPort: true });
  const http = options.http === 'off' ? null : parseHttpAddress(options.http);
  const log = createLogger({
    name: 'coordinator',
    level: options.logLevel,
    onLine: (text) => display.log(text),
  });
  const security = await coordinatorSecurity(options, bind, local.keys?.allowed ?? [], log);
  const directory = options.run ?? path.join('runs', config.name);
  const capacity = workersWithinFileLimit(config.reducers);
  if (capacity < FEW_WORKERS)
    log.warn(`the limit of open files (ulimit -n) lets about ${capacity} workers connect`);
  const stopSignals = new StopSignals();
  try {
    const beforeMaking = async (): Promise<void> => {
      if (local.count > 0) await expectLocalEngine(config);
      await expectFreePorts(bind, http, local.count);
    };
    const run = await openRun({ config, directory, log, beforeMaking });
    const coordinator = await CoordinatorProcess.start({
      run,
      bind,
      security,
      http,
      log,
      onEvent: display.on,
      stays: options.stay ?? false,
    });
    return { run, coordinator, log, stopSignals };
  } catch (error) {
    stopSignals.close();
    throw error;
  }
}

/** Throws UserError where a local worker could not compute what the run asks for. */
async function expectLocalEngine({ worker, precision, emulate }: RunConfig): Promise<void> {
  const { expectEngine } = await import('../engine/available.js');
  const device = worker.device === 'cuda' ? 'cuda:0' : 'cpu';
  expectEngine(worker.engine, { device, precision, emulate });
}

/** How this process was called, to be typed again. */
export function sameCommand(): string {
  return commandLine(process.argv.slice(2));
}

/**
 * Waits for the end, which a signal may have asked for while the run was being opened. `display` stands on the terminal
 * meanwhile. Throws Interrupted with how to go on.
 */
export async function awaitOutcome(
  { run, coordinator, stopSignals }: Pick<StartedRun, 'run' | 'coordinator' | 'stopSignals'>,
  display: Pick<TrainingDisplay, 'log'>,
  resume: string,
): Promise<Outcome> {
  stopSignals.onStop(() => {
    display.log('Finishing the step and saving a checkpoint; Ctrl-C again stops at once.');
    coordinator.stop();
  }, `Stopped at once. ${resume} goes on from the newest checkpoint, if there is one.`);
  try {
    const outcome = await coordinator.done;
    if (!outcome.saved) {
      throw new UserError(
        'CHECKPOINT_FAILED',
        `the last checkpoint of ${run.directory.path} could not be written; the log says why. With that mended, ${resume} ${outcome.checkpoint === null ? 'begins again' : 'goes on from the newest one'}`,
      );
    }
    if (outcome.reason === 'stopped') {
      const where = outcome.version === 0 ? 'before the first step' : `after step ${outcome.version}, saved`;
      throw new Interrupted(`Stopped ${where}. To go on: ${resume}`);
    }
    return outcome;
  } finally {
    stopSignals.close();
  }
}
