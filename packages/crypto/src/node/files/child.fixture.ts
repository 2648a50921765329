/**
 * Seals or opens in a process of its own: `child.fixture.ts seal|open SOURCE SINK [exit|abort]`, `-` for the
 * standard streams. Keys are fixed. Writes its peak memory in kilobytes to standard error at the end.
 */
import { readFileSync } from 'node:fs';
import type { KemPublicKey, SigningPrivateKey } from '@astis/protocol/formats';
import { artifactIdText, parseAddress, parseTenantId } from '@astis/protocol/formats';
import { sealHeader } from '../../header.ts';
import { localSigner } from '../../signing.ts';
import { openFile, sealFile } from './index.ts';

const [mode, from, to, end] = process.argv.slice(2);
if (from === undefined || to === undefined) throw new Error('SOURCE and SINK are missing');

const tenantId = parseTenantId('11111111-1111-4111-8111-111111111111');
const sealer = parseAddress('alice@example.org');
const signer = localSigner(new Uint8Array(32).fill(3) as SigningPrivateKey);
const dek = new Uint8Array(32).fill(9) as Parameters<typeof sealHeader>[0]['dek'];
const artifactId = artifactIdText(new Uint8Array(16).fill(1));
const header = sealHeader({ dek, artifactId, tenantId, sealer, sealerKey: signer.publicKey });
const { commitment } = header.header;

const controller = new AbortController();
const onProgress = (): void => {
  if (end === 'exit') process.exit(7);
  if (end === 'abort') controller.abort(new Error('stopped'));
};
const common = {
  source: from === '-' ? process.stdin : from,
  sink: to === '-' ? process.stdout : to,
  signal: controller.signal,
  onProgress,
};

if (mode === 'seal') await sealFile({ ...common, header, dek, signer });
else
  await openFile({
    ...common,
    dek,
    statement: {
      artifactId,
      headerHash: header.hash,
      commitment,
      tenantId,
      sealer,
      sealedAt: 1,
      notAfter: 2,
      recipients: [],
      labels: [],
    },
    sealer: {
      tenantId,
      address: sealer,
      kind: 'person',
      role: 'member',
      hardwareBacked: false,
      signingKey: signer.publicKey,
      kem: 'X25519',
      kemKey: new Uint8Array(32) as KemPublicKey,
      issuedAt: 1,
      serial: 1,
    },
  });

const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
process.stderr.write(`${peak}\n`);
