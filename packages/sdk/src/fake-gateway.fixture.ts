/** A gateway that answers what a test tells it to, so that answers no honest one gives can be tried. */
import { localSigner, localUnwrapper, newKemKeyPair, newSigningKey, signCertificate } from '@astis/crypto';
import type { Address, KeyCertificate, SigningPrivateKey } from '@astis/protocol';
import { parseAddress, parsePersonId, parseTenantId, toBase64Url } from '@astis/protocol';
import type { HttpAnswer, HttpRequest, Transport } from './client.ts';
import { Client } from './client.ts';
import type { Identity } from './identity.ts';

export const tenantId = parseTenantId('11111111-1111-4111-8111-111111111111');
export const organisation = localSigner(newSigningKey());

export interface Reply {
  readonly status?: number;
  readonly body: unknown;
}

export const answerOf = ({ status = 200, body }: Reply): HttpAnswer => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    status,
    header: (name) => (name === 'dpop-nonce' ? 'nonce' : undefined),
    text: () => Promise.resolve(text),
    async *lines() {
      yield* text.split('\n');
    },
  };
};

/** A client of a gateway that gives tokens, and `reply` to everything else. */
export async function fakeClient(reply: (request: HttpRequest) => Reply) {
  const requests: HttpRequest[] = [];
  const transport: Transport = async (request) => {
    if (request.url.endsWith('/oauth/token'))
      return answerOf({ body: { access_token: 'token', token_type: 'DPoP', expires_in: 600 } });
    requests.push(request);
    return answerOf(reply(request));
  };
  const signingKey = newSigningKey();
  const { privateKey } = await newKemKeyPair('X25519');
  const identity: Identity = {
    gatewayUrl: 'https://gateway.test',
    tenant: {
      tenantId,
      identityKey: organisation.publicKey,
      checkpointKey: '',
      receiptKey: '',
      logOrigin: `log/${tenantId}`,
    },
    personId: parsePersonId('22222222-2222-4222-8222-222222222222'),
    address: parseAddress('alice@example.org'),
    signer: localSigner(signingKey),
    signingKey,
    unwrapper: await localUnwrapper('X25519', privateKey),
  };
  return { client: new Client(identity, transport), requests };
}

/** A certificate of fresh keys, by the organisation or by `by`. */
export async function certificateFor(
  address: Address,
  options: { readonly kind?: KeyCertificate['kind']; readonly by?: SigningPrivateKey } = {},
): Promise<string> {
  const { kind = 'person', by } = options;
  const { publicKey } = await newKemKeyPair('X25519');
  const certificate: KeyCertificate = {
    tenantId,
    address,
    kind,
    role: 'member',
    hardwareBacked: false,
    signingKey: kind === 'person' ? localSigner(newSigningKey()).publicKey : undefined,
    kem: 'X25519',
    kemKey: publicKey,
    issuedAt: 1,
    serial: 1,
  };
  const signer = by === undefined ? organisation : localSigner(by);
  return toBase64Url(await signCertificate(certificate, signer));
}
