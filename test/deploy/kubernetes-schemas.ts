// What Kubernetes itself would refuse of an object, by the schemas of its kinds: those that npm packages carry, and for
// JobSet and Kubeflow Trainer the fields that Lockstep's files use, after the CRDs of JobSet 0.12 and Trainer 2.3.
import assert from 'node:assert/strict';
import { z } from 'zod';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/** Throws when `object` breaks the schema of its kind, or has a key that the schema does not know. */
export async function validate(object: KubernetesObject): Promise<void> {
  if (object.kind in customResources) await validateCustom(object as CustomResource);
  else await validateBuiltIn(object);
}

// ---- JobSet and Kubeflow Trainer

/** What lies within is of a kind that Kubernetes has, and is held against its schema. */
const template = z.looseObject({});

const names = z.array(z.string().min(1));

const jobSetSpec = z.strictObject({
  replicatedJobs: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        replicas: z.int().nonnegative().optional(),
        template: z.strictObject({ metadata: template.optional(), spec: template }),
        dependsOn: z
          .array(z.strictObject({ name: z.string(), status: z.enum(['Ready', 'Complete']) }))
          .optional(),
      }),
    )
    .min(1),
  network: z
    .strictObject({
      enableDNSHostnames: z.boolean().optional(),
      subdomain: z.string().optional(),
      publishNotReadyAddresses: z.boolean().optional(),
    })
    .optional(),
  successPolicy: z
    .strictObject({ operator: z.enum(['All', 'Any']), targetReplicatedJobs: names.optional() })
    .optional(),
  failurePolicy: z.strictObject({ maxRestarts: z.int().nonnegative().optional() }).optional(),
});

const resources = z.strictObject({ requests: template.optional(), limits: template.optional() });

const trainJobSpec = z.strictObject({
  runtimeRef: z.strictObject({
    name: z.string(),
    kind: z.enum(['ClusterTrainingRuntime', 'TrainingRuntime']).optional(),
  }),
  trainer: z
    .strictObject({ numNodes: z.int().positive().optional(), resourcesPerNode: resources.optional() })
    .optional(),
  runtimePatches: z
    .array(
      z.strictObject({
        manager: z.string().regex(/^[a-z0-9.-]+\/[\w.-]+$/),
        trainingRuntimeSpec: z.strictObject({
          template: z.strictObject({
            spec: z.strictObject({
              replicatedJobs: z.array(
                z.strictObject({
                  name: z.string(),
                  template: z.strictObject({
                    spec: z.strictObject({
                      template: z.strictObject({ spec: z.strictObject({ volumes: z.array(template) }) }),
                    }),
                  }),
                }),
              ),
            }),
          }),
        }),
      }),
    )
    .optional(),
});

const customResources = {
  JobSet: { apiVersion: 'jobset.x-k8s.io/v1alpha2', spec: jobSetSpec },
  ClusterTrainingRuntime: {
    apiVersion: 'trainer.kubeflow.org/v1alpha1',
    spec: z.strictObject({
      mlPolicy: z.strictObject({ numNodes: z.int().positive() }),
      template: z.strictObject({ spec: jobSetSpec }),
    }),
  },
  TrainJob: { apiVersion: 'trainer.kubeflow.org/v1alpha1', spec: trainJobSpec },
} as const;

type CustomResource = {
  [K in keyof typeof customResources]: KubernetesObject & {
    readonly kind: K;
    readonly spec: z.infer<(typeof customResources)[K]['spec']>;
  };
}[keyof typeof customResources];

async function validateCustom(object: CustomResource): Promise<void> {
  const { apiVersion, kind, metadata, ...rest } = object;
  const known = customResources[kind];
  assert.equal(apiVersion, known.apiVersion);
  z.strictObject({ spec: known.spec }).parse(rest);
  for (const part of builtInPartsOf(object)) {
    await validateBuiltIn({ metadata, ...part });
    if (part.kind === 'Job') checkFailurePolicy(part.spec as JobSpec);
  }
}

interface JobSpec {
  readonly podFailurePolicy?: {
    readonly rules: readonly { readonly onExitCodes?: { readonly containerName?: string } }[];
  };
  readonly template: {
    readonly spec: {
      readonly restartPolicy?: string;
      readonly containers: readonly { readonly name: string }[];
    };
  };
}

/** What Kubernetes asks of a Job beyond its schema. */
function checkFailurePolicy({ podFailurePolicy, template: { spec } }: JobSpec): void {
  if (!podFailurePolicy) return;
  assert.equal(spec.restartPolicy, 'Never', 'podFailurePolicy wants restartPolicy: Never');
  for (const { onExitCodes } of podFailurePolicy.rules) {
    const name = onExitCodes?.containerName;
    const isThere = name === undefined || spec.containers.some((container) => container.name === name);
    assert.ok(isThere, `podFailurePolicy names a container that is not there: ${name}`);
  }
}

/** What of it Kubernetes' own schemas describe, as objects of those kinds. */
function builtInPartsOf(object: CustomResource): { apiVersion: string; kind: string; spec: object }[] {
  if (object.kind === 'TrainJob') {
    return (object.spec.runtimePatches ?? [])
      .flatMap(({ trainingRuntimeSpec }) => trainingRuntimeSpec.template.spec.replicatedJobs)
      .map((job) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        spec: { containers: [{ name: 'any' }], volumes: job.template.spec.template.spec.volumes },
      }));
  }
  const { replicatedJobs } = object.kind === 'JobSet' ? object.spec : object.spec.template.spec;
  return replicatedJobs.map((job) => ({ apiVersion: 'batch/v1', kind: 'Job', spec: job.template.spec }));
}

// ---- what Kubernetes and the Prometheus operator have

async function validateBuiltIn(object: KubernetesObject): Promise<void> {
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
