/** Real servers and whole stacks, for tests, benchmarks and the development stack. */
export {
  type CertificateAuthority,
  type Credentials,
  createCertificateAuthority,
  openCertificateAuthority,
} from './authority.ts';
export { type DevelopmentCa, developmentCa, type TlsFiles } from './ca.ts';
export { type CapturePlan, type CaptureProxy, type Exchange, startCaptureProxy } from './capture-proxy.ts';
export { startDebianPostgres15 } from './debian-postgres.ts';
export { type DnsServer, startDnsServer, type TxtRecords } from './dns.ts';
export { freePort } from './free-port.ts';
export { type Member, newOrganisation, type Organisation } from './organisation.ts';
export { type ProcessPlan, type RunningProcess, startProcess } from './process.ts';
export { type Stack, type StackOptions, startStack } from './stack.ts';
export { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';
