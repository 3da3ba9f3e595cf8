// `lockstep schema`: the JSON Schema of config files, for editors.

import type { Command } from 'commander';
import { outputOf } from './output.js';

export function register(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of config files, which editors complete and check by')
    .option('--markdown', 'print docs/configuration.md instead, the same for people')
    .action(async ({ markdown }: { readonly markdown?: boolean }, command: Command) => {
      const [{ jsonSchemaText }, { configurationPage }] = await Promise.all([
        import('../config/json-schema.js'),
        import('../config/markdown.js'),
      ]);
      const output = outputOf(command);
      if (output.json && !markdown) output.result(JSON.parse(jsonSchemaText()) as object, '');
      else process.stdout.write(markdown ? configurationPage() : jsonSchemaText());
    });
}
