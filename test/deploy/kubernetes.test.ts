// The Helm chart, rendered by helm itself: every object is valid by the schema of its kind, and has no key that the schema
// does not know. It was never installed on a cluster by a test.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { packageRoot } from '../../src/util/package.js';
import { faultOfCall } from '../docs/command-line.js';

const require = createRequire(import.meta.url);
const chart = path.join(packageRoot, 'deploy/kubernetes/lockstep');

interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly securityContext: { readonly runAsNonRoot: boolean };
  readonly containers: readonly Container[];
}

interface Container {
  readonly args: readonly string[];
  readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
  readonly resources: { readonly limits: Readonly<Record<string, unknown>> };
}

const missing = spawnSync('unzip', ['-v']).error && 'needs unzip: apt-get install unzip';

describe('the Helm chart', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lockstep-helm-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  // A package that carries helm, which npm and Debian have not by itself.
  const layer = path.join(path.dirname(require.resolve('@aws-cdk/asset-kubectl-v20')), 'layer.zip');
  spawnSync('unzip', ['-q', layer, 'helm/helm', '-d', folder]);

  function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const flat = ['template', 'demo', chart, '--kube-version', '1.30.0', ...args];
    return spawnSync(path.join(folder, 'helm/helm'), flat, { encoding: 'utf8' });
  }

  function render(...args: string[]): KubernetesObject[] {
    const { status, stdout, stderr } = helm(...args);
    assert.equal(status, 0, stderr);
    return parseAllDocuments(stdout)
      .map((document) => document.toJS() as KubernetesObject | null)
      .filter((object) => object !== null);
  }

  const withSecret = ['--set', 'keys.existingSecret=lockstep-keys'];
  const withAll = [
    ...[
      '--set',
      'workers.gpus=1',
      '--set',
      'workers.engine=tensorflow',
      '--set',
      'serviceMonitor.enabled=true',
    ],
    ...['coordinator.key', 'coordinator.pub', 'worker.key', 'worker.pub'].flatMap((file) => [
      '--set',
      `keys.files.${file.replace('.', '\\.')}=text`,
    ]),
  ];

  test('renders objects that are valid and have no unknown keys', async () => {
    assert.equal(render(...withSecret).length, 6);
    const objects = render(...withAll);
    assert.ok(
      objects.some(({ kind }) => kind === 'Secret') && objects.some(({ kind }) => kind === 'ServiceMonitor'),
    );
    for (const object of [...objects, ...render(...withSecret)]) await validate(object);
  });

  test('runs commands that the command line takes, without rights, on a file system that is only read', async () => {
    for (const { kind, spec } of render(...withAll).filter(({ kind }) =>
      /^(StatefulSet|Deployment)$/.test(kind),
    )) {
      const pod = spec.template.spec;
      assert.ok(pod.securityContext.runAsNonRoot, kind);
      for (const { args, securityContext, resources } of pod.containers) {
        assert.equal(await faultOfCall(args), null, args.join(' '));
        assert.ok(securityContext.readOnlyRootFilesystem);
        if (kind === 'Deployment') assert.equal(resources.limits['nvidia.com/gpu'], 1);
      }
    }
  });

  test('is refused without keys, and with a value that is misspelt', () => {
    assert.match(helm().stderr, /keys\.existingSecret, or keys\.files/);
    assert.match(helm(...withSecret, '--set', 'workers.replica=3').stderr, /replica/);
  });

  test('a key that Kubernetes does not know would be found', async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: { clusterIp: 'None' },
    };
    await assert.rejects(validate(object as unknown as KubernetesObject), /spec\.clusterIp/);
  });
});

/** Throws when `object` breaks the schema of its kind, or has a key that the schema never looks at. */
async function validate(object: KubernetesObject): Promise<void> {
  const { apiVersion, kind } = object;
  const library = apiVersion.startsWith('monitoring')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models';
  const loaded = (await import(`${library}/${apiVersion}`)) as Record<
    string,
    new (data: object) => { validate(): void }
  >;
  const seen = new Set<string>();
  const model = new loaded[kind]!(object);
  for (const [key, value] of Object.entries(model))
    Object.assign(model, { [key]: watched(value, key, seen) });
  model.validate();
  const unknown = pathsOf({ ...object, apiVersion: undefined, kind: undefined }).filter(
    (key) => !seen.has(key),
  );
  assert.deepEqual(
    unknown.filter((key) => key.includes('.')),
    [],
    `${kind} has keys that are not Kubernetes'`,
  );
}

/** A value that notes which of its keys are looked at. */
function watched(value: unknown, at: string, seen: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get: (target, key, receiver) => {
      const inner: unknown = Reflect.get(target, key, receiver);
      if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return inner;
      seen.add(`${at}.${key}`);
      return watched(inner, `${at}.${key}`, seen);
    },
  });
}

function pathsOf(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => [
    prefix + key,
    ...(typeof inner === 'object' && inner !== null ? pathsOf(inner, `${prefix}${key}.`) : []),
  ]);
}
