// The Helm chart, rendered by helm itself. Every object is valid by the schema of its kind, and has no key that the schema does
// not know. No test has a cluster.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { packageRoot } from '../../src/util/package.js';
import { writeKeyPair } from '../../src/transport/key-files.js';
import { faultOfCall } from '../docs/command-line.js';
import { commandsOf } from '../docs/markdown.js';
import { withoutRoot } from '../support/root.js';
import type { PodSpec, PodTemplate, Workload } from './kubernetes-objects.js';
import { validate } from './kubernetes-schemas.js';

const require = createRequire(import.meta.url);
const chart = path.join(packageRoot, 'deploy/kubernetes/lockstep');

interface NetworkPolicySpec {
  readonly policyTypes: readonly string[];
  readonly egress?: unknown;
  readonly ingress: readonly { readonly from: unknown; readonly ports?: unknown }[];
}

/** What the values of a component say of its pod, with one of each. */
const valuesOfComponent = {
  env: [{ name: 'AWS_REGION', value: 'eu-central-1' }],
  envFrom: [{ secretRef: { name: 'lockstep-s3' } }],
  serviceAccountName: 'training',
  podAnnotations: { 'example.com/owner': 'readers' },
  podLabels: { 'example.com/team': 'readers' },
  nodeSelector: { 'example.com/disk': 'fast' },
  tolerations: [{ key: 'example.com/only', operator: 'Exists' }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'example.com/zone', operator: 'In', values: ['a'] }] },
        ],
      },
    },
  },
};

/** The same, as a pod has it; without what the chart itself puts there. */
function valuesIn({ metadata, spec }: PodTemplate): object {
  const [container] = spec.containers;
  const foreign = (entries: Readonly<Record<string, string>> | undefined): object =>
    Object.fromEntries(
      Object.entries(entries ?? {}).filter(([key]) => !/^(app\.kubernetes\.io|checksum)\//.test(key)),
    );
  return {
    env: (container!.env ?? []).filter(({ name }) => name !== 'POD_NAME'),
    envFrom: container!.envFrom ?? [],
    serviceAccountName: spec.serviceAccountName ?? '',
    podAnnotations: foreign(metadata.annotations),
    podLabels: foreign(metadata.labels),
    nodeSelector: spec.nodeSelector ?? {},
    tolerations: spec.tolerations ?? [],
    affinity: spec.affinity ?? {},
  };
}

/** What `valuesIn` finds where nothing was said. */
const noValues = {
  env: [],
  envFrom: [],
  serviceAccountName: '',
  podAnnotations: {},
  podLabels: {},
  nodeSelector: {},
  tolerations: [],
  affinity: {},
};

const missing = spawnSync('unzip', ['-v']).error && 'needs unzip: apt-get install unzip';

describe('the Helm chart', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lockstep-helm-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  // A package that carries helm, which npm and Debian have not by itself.
  const layer = path.join(path.dirname(require.resolve('@aws-cdk/asset-kubectl-v20')), 'layer.zip');
  spawnSync('unzip', ['-q', layer, 'helm/helm', '-d', folder]);

  function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return template('demo', chart, ...args);
  }

  /** In `folder`, where values and configs lie. */
  function template(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const flat = ['template', '--kube-version', '1.30.0', ...args];
    return spawnSync(path.join(folder, 'helm/helm'), flat, { encoding: 'utf8', cwd: folder });
  }

  function render(...args: string[]): Workload[] {
    return objectsOf(helm(...args));
  }

  /** With keys and these values; null takes one of the chart's away. */
  function renderWith(values: object): Workload[] {
    writeFileSync(path.join(folder, 'values.json'), JSON.stringify(values));
    return render(...withSecret, '--values', 'values.json');
  }

  function objectsOf({ status, stdout, stderr }: ReturnType<typeof template>): Workload[] {
    assert.equal(status, 0, stderr);
    return parseAllDocuments(stdout, { version: '1.1' }) // as kubectl reads it
      .map((document) => document.toJS() as Workload | null)
      .filter((object) => object !== null);
  }

  function podsOf(objects: readonly Workload[]): { coordinator: PodTemplate; workers: PodTemplate } {
    const of = (wanted: string): PodTemplate => objects.find(({ kind }) => kind === wanted)!.spec.template;
    return { coordinator: of('StatefulSet'), workers: of('Deployment') };
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
      assert.equal(
        pod.securityContext.fsGroupChangePolicy,
        'OnRootMismatch',
        'a large volume is not gone through',
      );
      for (const { args, securityContext, resources } of pod.containers) {
        assert.equal(await faultOfCall(args), null, args.join(' '));
        assert.ok(securityContext.readOnlyRootFilesystem);
        if (kind === 'Deployment') assert.equal(resources!.limits!['nvidia.com/gpu'], 1);
      }
    }
  });

  test(
    'mounts keys as the loader of keys takes them',
    { skip: withoutRoot('to give a file to another user') },
    async (t) => {
      const keys = mkdtempSync(path.join(tmpdir(), 'lockstep-secret-'));
      t.after(() => rmSync(keys, { recursive: true, force: true }));
      chmodSync(keys, 0o755);
      const { secretFile } = await writeKeyPair(keys, 'coordinator');
      const loader = new URL('../../src/transport/key-files.js', import.meta.url).href;
      /** Reads the key as the pod's user does, from a file as the kubelet makes it: of root, for the group `fsGroup`. */
      const read = ({ runAsUser: uid, fsGroup }: PodSpec['securityContext'], mode: number): string => {
        chownSync(secretFile, 0, fsGroup);
        chmodSync(secretFile, mode);
        const drop = `process.setgroups([]); process.setgid(${fsGroup}); process.setuid(${uid});`;
        const script = `const { readKeyPair } = await import('${loader}'); ${drop} readKeyPair('${secretFile}');`;
        const node = ['--input-type=module', '--eval', script];
        return spawnSync(process.execPath, node, { encoding: 'utf8' }).stderr;
      };
      const pods = render(...withSecret).filter(({ kind }) => /^(StatefulSet|Deployment)$/.test(kind));
      for (const { kind, spec } of pods) {
        const { securityContext, volumes } = spec.template.spec;
        const { defaultMode } = volumes.find(({ name }) => name === 'keys')!.secret!;
        assert.equal(read(securityContext, defaultMode), '', kind);
        assert.match(read(securityContext, 0o444), /KEY_EXPOSED/, 'what Kubernetes mounts by default');
      }
      assert.equal(pods.length, 2);
    },
  );

  test('is refused without keys, and with a value that is misspelt or that would break it', () => {
    assert.match(helm().stderr, /keys\.existingSecret, or keys\.files/);
    for (const [value, told] of [
      ['workers.replica=3', /replica/],
      ['workers.device=gpu', /workers\.device/],
      ['imagePullSecrets[0]=registry', /imagePullSecrets/],
      ['coordinator.env[0].value=a', /coordinator\.env/],
      ['workers.podLabels.app\\.kubernetes\\.io/instance=other', /workers\.podLabels/],
    ] as const) {
      assert.match(helm(...withSecret, '--set', value).stderr, told);
    }
  });

  for (const [component, other] of [
    ['coordinator', 'workers'],
    ['workers', 'coordinator'],
  ] as const) {
    test(`gives the pods of ${component} what their values say, and those of ${other} nothing of it`, async () => {
      const objects = renderWith({ [component]: valuesOfComponent });
      for (const object of objects) await validate(object);
      const pods = podsOf(objects);
      assert.deepEqual(valuesIn(pods[component]), valuesOfComponent);
      assert.deepEqual(valuesIn(pods[other]), noValues);
      assert.equal(pods[component].spec.automountServiceAccountToken, true, 'for roles of a pod');
      assert.equal(pods[other].spec.automountServiceAccountToken, false);
    });
  }

  test('keeps the labels by which its own objects find its pods', () => {
    const { coordinator } = podsOf(renderWith({ coordinator: valuesOfComponent }));
    assert.equal(coordinator.metadata.labels['app.kubernetes.io/component'], 'coordinator');
    assert.match(coordinator.metadata.annotations!['checksum/config']!, /^[0-9a-f]{64}$/);
  });

  test('pulls both images with the secrets of a private registry', () => {
    const secrets = [{ name: 'registry' }];
    const { coordinator, workers } = podsOf(renderWith({ imagePullSecrets: secrets }));
    assert.deepEqual([coordinator.spec.imagePullSecrets, workers.spec.imagePullSecrets], [secrets, secrets]);
    assert.equal(podsOf(renderWith({})).workers.spec.imagePullSecrets, undefined);
  });

  test('has workers compute on the device that is named, a processor by default', async () => {
    const argsWith = (values: object): readonly string[] =>
      podsOf(renderWith({ workers: values })).workers.spec.containers[0]!.args;
    assert.ok(argsWith({}).includes('--device=cpu'));
    const args = argsWith({ device: 'cuda:0', gpus: 1 });
    assert.ok(args.includes('--device=cuda:0'));
    assert.equal(await faultOfCall(args), null);
  });

  test('renders resources that were taken away as none, and adds GPUs to what limits there are', async () => {
    const resourcesWith = async (values: object): Promise<unknown[]> => {
      const objects = renderWith(values);
      for (const object of objects) await validate(object);
      const { coordinator, workers } = podsOf(objects);
      return [coordinator, workers].map(({ spec }) => spec.containers[0]!.resources);
    };
    const none = { resources: null };
    assert.deepEqual(await resourcesWith({ coordinator: none, workers: none }), [undefined, undefined]);
    const [, gpu] = await resourcesWith({ workers: { ...none, gpus: 2 } });
    assert.deepEqual(gpu, { limits: { 'nvidia.com/gpu': 2 } });
    const [, noRequests] = await resourcesWith({ workers: { resources: { requests: null }, gpus: 1 } });
    assert.deepEqual(noRequests, { limits: { memory: '8Gi', 'nvidia.com/gpu': 1 } });
  });

  test('has a coordinator that stays when its run is over, and that an upgrade replaces though it is not ready', () => {
    const set = render(...withSecret).find(({ kind }) => kind === 'StatefulSet')!;
    assert.ok(set.spec.template.spec.containers[0]!.args.includes('--stay'));
    assert.equal((set.spec as { podManagementPolicy?: string }).podManagementPolicy, 'Parallel');
  });

  test('limits nothing that goes out, and lets those read metrics that are named', () => {
    const policyWith = (values: object): NetworkPolicySpec =>
      renderWith(values).find(({ kind }) => kind === 'NetworkPolicy')!.spec as unknown as NetworkPolicySpec;
    const peers = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];
    const { policyTypes, egress, ingress } = policyWith({ metricsFrom: peers });
    assert.deepEqual([policyTypes, egress], [['Ingress'], undefined], 'S3 and DNS');
    const readers = (rules: NetworkPolicySpec['ingress']): unknown => rules.find(({ ports }) => ports)!.from;
    assert.deepEqual(readers(ingress), peers);
    assert.deepEqual(readers(policyWith({}).ingress), [{ podSelector: {} }]);
  });

  test('is installed and upgraded by the commands that the page shows', async () => {
    const page = readFileSync(path.join(packageRoot, 'docs/kubernetes.md'), 'utf8');
    for (const [, name, text] of page.matchAll(/^```yaml\n# (\S+\.yaml)\n(.*?)^```/gms))
      writeFileSync(path.join(folder, name!), text!);
    const installs = new Map<string, string[]>();
    for (const { words } of commandsOf(page, ['helm'])) {
      const [, command, release, from, ...options] = words;
      if (command === 'uninstall') continue;
      assert.equal(path.join(packageRoot, from!), chart);
      for (const option of options)
        if (option.startsWith('config='))
          writeFileSync(path.join(folder, option.slice(7)), 'data: /runs/data/text\n');
      const reused = command === 'upgrade' ? installs.get(release!)! : [];
      const own = options.filter((option) => option !== '--reuse-values');
      if (command === 'install') installs.set(release!, own);
      for (const object of objectsOf(template(release!, chart, ...reused, ...own))) await validate(object);
    }
    assert.deepEqual([...installs.keys()], ['moby', 'moby-s3', 'moby-gpu']);
  });

  test('tells of objects that it makes', () => {
    // helm renders NOTES.txt for an install alone, which wants a cluster: here it is a template of a copy.
    const copy = path.join(folder, 'with-notes');
    cpSync(chart, copy, { recursive: true });
    const notes = readFileSync(path.join(chart, 'templates/NOTES.txt'), 'utf8');
    writeFileSync(path.join(copy, 'templates/_notes.tpl'), `{{- define "notes" }}${notes}{{ end }}`);
    writeFileSync(
      path.join(copy, 'templates/text.yaml'),
      'kind: Notes\ntext: {{ include "notes" . | quote }}\n',
    );
    const objects = objectsOf(template('demo', copy, ...withSecret));
    const { text } = objects.find(({ kind }) => kind === 'Notes') as unknown as { text: string };
    const named = [...text.matchAll(/(\w+)\/(\S+)/g)].filter(([, kind]) => kind === 'statefulset');
    assert.equal(named.length, 2);
    for (const [, , name] of named)
      assert.ok(
        objects.some(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === name),
        name,
      );
    for (const [, value] of text.matchAll(/--set (\S+)/g))
      assert.equal(helm(...withSecret, '--set', value!).status, 0, value);
    assert.match(text, /--set workers\.replicas=0/);
  });

  test('a key that Kubernetes does not know would be found', async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: { clusterIp: 'None' },
    };
    await assert.rejects(validate(object), /spec\.clusterIp/);
  });
});
