// A process for store.test.ts to kill: writes every slice of a checkpoint (argument 2: `slices`) and optionally all files
// but the manifest (`hashing`), says so, and waits for its end. Arguments: directory, where to stop.

import path from 'node:path';
import { copyFile, writeFile } from 'node:fs/promises';
import { filled, stateOf, storeIn, writeSlices } from './fixture.js';

const [directory, stopAt] = process.argv.slice(2) as [string, string];
const store = await storeIn(directory);
const begun = await store.begin(2, 1);
await writeSlices(begun, filled(2));
if (stopAt === 'hashing') {
  await writeFile(path.join(begun.folder.url, 'config.json'), '{}');
  await writeFile(path.join(begun.folder.url, 'state.json'), JSON.stringify(stateOf(2)));
  await copyFile(path.join(directory, 'tokenizer.json'), path.join(begun.folder.url, 'tokenizer.json'));
}
process.stdout.write('ready\n');
setInterval(() => {}, 1000);
