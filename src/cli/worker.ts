// `lockstep worker URL`: computes for the coordinator at that address until its run is over.
import { availableParallelism, hostname } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DeviceName, EngineName } from '../engine/names.js';
import { engineNames } from '../engine/names.js';
import { checkFileLimit } from './file-limit.js';
import { parseHttpAddress, parseTcpAddress } from './address.js';
import { integerArgument, logLevelOption, type LogLevel } from './options.js';
import { ExitCode, Interrupted } from './output.js';
import { addWorkerKeyOptions, workerSecurity, type WorkerKeyOptions } from './security-options.js';

interface WorkerCommandOptions extends WorkerKeyOptions {
  readonly engine: EngineName;
  readonly device: DeviceName;
  readonly tf32?: boolean;
  readonly threads?: number;
  readonly name: string;
  readonly run?: string;
  readonly http?: string;
  readonly patience: number;
  readonly logLevel: LogLevel;
  readonly fault?: string;
}

export function register(program: Command): void {
  const worker = program
    .command('worker')
    .description('compute for a coordinator; needs nothing but its address, and a key where it has one')
    .argument('<url>', "the coordinator's address, tcp://HOST:PORT")
    .option('--threads <n>', 'compute threads (default: all cores)', integerArgument(1, 1024))
    .addOption(
      new Option('--engine <name>', 'what computes: native, or tensorflow where it was set up')
        .choices(engineNames)
        .default('native'),
    )
    .option('--device <name>', 'where the native engine computes: cpu, or cuda:0', deviceArgument, 'cpu')
    .option('--tf32', 'on a CUDA device: round the operands of float32 products to TF32')
    .option('--name <name>', "the worker's name in logs and metrics", `${hostname()}-${process.pid}`)
    .option('--run <id>', 'work only for the run with this id')
    .option('--http <address>', 'serve /metrics, /healthz and /readyz at HOST:PORT or PORT')
    .option('--patience <seconds>', 'how long to look for a coordinator', integerArgument(0), 600)
    .addOption(logLevelOption('info'))
    .addOption(new Option('--fault <what>', 'make a fault on purpose, for tests').hideHelp());
  addWorkerKeyOptions(worker).action(async (url: string, options: WorkerCommandOptions) => {
    checkFileLimit('a worker');
    const [{ runWorker }, { parseFault }, { createLogger }] = await Promise.all([
      import('../worker/process.js'),
      import('../worker/compute/fault.js'),
      import('../metrics/log.js'),
    ]);
    const stop = stopSignal();
    const end = await runWorker({
      url: parseTcpAddress(url, { anyPort: false }),
      security: await workerSecurity(options),
      name: options.name,
      runId: options.run ?? null,
      engine: options.engine,
      device: options.device,
      tf32: options.tf32 ?? false,
      threads: options.threads ?? availableParallelism(),
      fault: options.fault === undefined ? null : parseFault(options.fault),
      http: options.http === undefined ? null : parseHttpAddress(options.http),
      patienceMs: options.patience * 1000,
      log: createLogger({ name: options.name, level: options.logLevel }),
      signal: stop,
    });
    if (end === 'completed') return;
    if (!process.send)
      throw new Interrupted(
        stop.aborted ? 'Stopped.' : 'The run was stopped: whoever goes on with it wants workers again.',
      );
    process.exitCode = ExitCode.interrupted; // `train`, whose worker this is, says more
  });
}

function deviceArgument(value: string): DeviceName {
  if (value === 'cpu' || /^cuda:\d+$/.test(value)) return value as DeviceName;
  throw new InvalidArgumentError('Expected cpu, or a CUDA device such as cuda:0.');
}

/**
 * Aborted by Ctrl-C or SIGTERM. A worker that `train` started ignores Ctrl-C, which a terminal sends to all: it
 * goes when the coordinator says so, or when its parent is gone.
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.on('SIGTERM', stop);
  if (process.send) {
    process.on('SIGINT', () => undefined);
    const orphaned = (): never => process.exit(ExitCode.fault);
    process.on('disconnect', orphaned);
    if (!process.connected) orphaned(); // before this listened
  } else process.on('SIGINT', stop);
  return controller.signal;
}
