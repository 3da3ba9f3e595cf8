// Prints, one a line, every file that importing the packages named as arguments loads: JavaScript of either kind, addons, and what they
// read. Packages that are not installed are left out.

import fs from 'node:fs';
import { Session } from 'node:inspector';
import Module, { createRequire, syncBuiltinESMExports } from 'node:module';
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
const openAddon = Module._extensions['.node'];
Module._extensions['.node'] = (module, file) => {
  loaded.add(file);
  return openAddon(module, file);
};
const { readFileSync } = fs;
fs.readFileSync = (file, ...options) => {
  if (typeof file === 'string') loaded.add(file);
  return readFileSync(file, ...options);
};
syncBuiltinESMExports();

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { resolve } = createRequire(pathToFileURL(join(root, 'package.json')));
for (const name of process.argv.slice(2)) {
  try {
    await import(name);
  } catch (error) {
    if (isInstalled(name)) throw error;
  }
}
const ofPackages = [...loaded].filter((file) => file.includes('/node_modules/') && fs.existsSync(file));
process.stdout.write(ofPackages.join('\n'));
process.exit(); // whatever a package has started

function isInstalled(name) {
  try {
    return resolve(name) !== '';
  } catch {
    return false;
  }
}
