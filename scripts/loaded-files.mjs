// Prints, one a line, every file that importing the packages named as arguments loads: JavaScript of either kind, JSON and addons.
// Packages that are not installed are left out.

import { Session } from 'node:inspector';
import Module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const loaded = new Set();

// The inspector is told of each script, ES module or not.
const session = new Session();
session.connect();
session.on('Debugger.scriptParsed', ({ params: { url } }) => {
  if (url.startsWith('file:')) loaded.add(fileURLToPath(url));
});
session.post('Debugger.enable');
for (const kind of ['.json', '.node']) {
  const load = Module._extensions[kind];
  Module._extensions[kind] = (module, file) => {
    loaded.add(file);
    return load(module, file);
  };
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { resolve } = createRequire(pathToFileURL(join(root, 'package.json')));
for (const name of process.argv.slice(2)) {
  try {
    await import(name);
  } catch (error) {
    if (isInstalled(name)) throw error;
  }
}
process.stdout.write([...loaded].filter((file) => file.includes('/node_modules/')).join('\n'));
process.exit(); // whatever a package has started

function isInstalled(name) {
  try {
    return resolve(name) !== '';
  } catch {
    return false;
  }
}
