// `lockstep schema`: the JSON Schema of config files, for editors.

import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of config files, which editors complete and check by')
    .action(async () => {
      const { jsonSchemaText } = await import('../config/json-schema.js');
      process.stdout.write(jsonSchemaText());
    });
}
