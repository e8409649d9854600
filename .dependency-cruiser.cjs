/** Which way imports point; the table in docs/house.md says it in words. */
const only = (name, from, to) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: '^(src|workflows|activities)/', pathNot: [from, '^src/(tracing/span|within|sync-to-disk|durable-file)\\.ts$', ...to] },
});
const contract = '^workflows/(names|errors|view|messages|host-activities|step-queues|search-attributes)\\.ts$';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'nothing-imports-a-main', severity: 'error', from: {}, to: { path: '^src/mains/' } },
    {
      name: 'configuration-is-handed-on',
      severity: 'error',
      from: { path: '^(src|activities|workflows)/', pathNot: '^src/(mains|setup|chaos|bench)/|^src/config\\.ts$' },
      to: { path: '^src/config\\.ts$' },
    },
    only('workflows-are-sandboxed', '^workflows/', []),
    only('activities', '^activities/', [
      contract,
      '^src/(host|libvirt|guest|sealing|keys|template|invariants|gateway/wire|log)',
    ]),
    only('libvirt-knows-nothing-of-ours', '^src/libvirt/', []),
    only('agent-knows-its-protocol-only', '^src/agent/', ['^src/gen/']),
    only('guest', '^src/guest/', ['^src/gen/']),
    only('keys', '^src/keys/', []),
    only('sealing', '^src/sealing/', ['^src/keys/']),
    only('invariants', '^src/invariants/', [contract, '^src/(host|libvirt|guard)/', '^src/sealing/image-digest\\.ts$']),
    only('guard', '^src/guard/', []),
    only('tenants', '^src/tenants/', []),
    only('host', '^src/host/', [contract, '^src/(keys|libvirt/driver|tenants/use|log)']),
    only('journal', '^src/journal/', ['^src/(guest|host)/', '^src/(gateway/wire|log)']),
    only('template', '^src/template/', ['^src/(libvirt|guest|host|sealing|agent)/']),
    only('gateway', '^src/gateway/', [contract, '^src/(host|guest|keys|template|relay)/', '^src/(tenants/use|log)']),
    only('api', '^src/api/', [contract, '^src/(keys|tenants|relay/(stream-server|seldom|any-origin)|gateway/(wire|sandbox-query|gateway-token))', '^src/log']),
    only('proxy', '^src/proxy/', [
      contract,
      '^src/(keys|relay|tenants/connections|api/host-directory|gateway/(wire|gateway-token))',
      '^src/log',
    ]),
    only('temporal', '^src/temporal/', ['^workflows/', '^src/tracing/']),
    only('tls', '^src/tls/', ['^src/log']),
    only('tracing', '^src/tracing/', [contract]),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'], mainFields: ['main'] },
  },
};
