// `lockstep setup tensorflow`: installs and builds what the tensorflow engine needs, which no other part of Lockstep does.
import { Argument, type Command } from 'commander';
import { outputOf } from './output.js';

interface SetupOptions {
  readonly gpu?: boolean;
  readonly python: string;
}

export function register(program: Command): void {
  program
    .command('setup')
    .description('install and build an engine that does not come with Lockstep')
    .addArgument(new Argument('<engine>', 'the engine').choices(['tensorflow']))
    .option('--gpu', 'for NVIDIA GPUs')
    .option('--python <command>', 'the Python whose pip gets the library', 'python3')
    .action(async (_engine: string, { gpu = false, python }: SetupOptions, command: Command) => {
      const { setUpTensorFlow } = await import('./setup-tensorflow.js');
      const output = outputOf(command);
      const info = await setUpTensorFlow({ gpu, python }, (line) => output.note(line));
      output.result(
        info,
        `The tensorflow engine is ready: ${info.version} on this machine's ${info.device}.`,
      );
    });
}
